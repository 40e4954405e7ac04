#!/usr/bin/env bash
# Runs the compiled tests against an addon that is instrumented with AddressSanitizer, LeakSanitizer and
# UndefinedBehaviorSanitizer, and fails on any report:
#
#   scripts/asan.sh [dist-test/FILE.test.js…]      all of dist-test without arguments
#
# Everything happens in a copy, so that the checkout keeps the addon it has. Run 'npm run build && npm run
# build:test' first.
set -euo pipefail

cd "$(dirname "$0")/.."
if [[ ! -d dist || ! -d dist-test ]]; then
  echo "asan.sh: nothing to run; first: npm run build && npm run build:test" >&2
  exit 2
fi

copy=$(mktemp -d --tmpdir tapwall-asan.XXXXXX)
trap 'rm -rf "$copy"' EXIT
tar --create --exclude=./node_modules --exclude=./.git --exclude=./build . | tar --extract --directory "$copy"
ln -s "$PWD/node_modules" "$copy/node_modules"
cd "$copy"
TAPWALL_SANITIZE=address,undefined node scripts/build-addon.mjs

if (($# > 0)); then
  tests=("$@")
else
  mapfile -t tests < <(find dist-test -name '*.test.js' | sort)
fi

# Node is not instrumented, so the runtimes must be there before it; libstdc++ too, for them to find its
# __cxa_throw.
compiler=${CXX:-g++}
preload=
for library in libasan.so libubsan.so libstdc++.so; do
  preload+="$(realpath "$("$compiler" -print-file-name="$library")") "
done

# A leak does not change the exit status, because it may be another program's (ip, nft, python start from the
# tests as well and inherit LD_PRELOAD). Every report is written to a file that is named for its program, and
# those of Node count.
mkdir reports
# process.exit() leaves V8's heap as it is, and LeakSanitizer does not look for pointers in its pages: what
# hangs on those pages alone (headers, remembered sets, free lists, code registries) is no leak. None of these
# functions calls anybody else's code.
cat > suppressions <<'END'
leak:v8::internal::MemoryChunk::
leak:v8::internal::Page::AllocateFreeListCategories
leak:v8::internal::Heap_CombinedGenerationalAndSharedBarrierSlow
leak:v8::internal::Heap::InsertIntoRememberedSetFromCode
leak:v8::internal::CodeObjectRegistry::
END
status=0
LD_PRELOAD=$preload \
  ASAN_OPTIONS="detect_leaks=1:log_path=$copy/reports/asan:log_exe_name=1" \
  LSAN_OPTIONS="exitcode=0:suppressions=$copy/suppressions:print_suppressions=0:log_path=$copy/reports/asan:log_exe_name=1" \
  UBSAN_OPTIONS="print_stacktrace=1:log_path=$copy/reports/ubsan:log_exe_name=1" \
  node --test "${tests[@]}" || status=$?

shopt -s nullglob
reports=(reports/*.node.*)
for report in "${reports[@]}"; do
  echo "==> $report" >&2
  cat "$report" >&2
done
if ((${#reports[@]} > 0)); then
  echo "asan.sh: ${#reports[@]} report(s)" >&2
  exit 1
fi
if ((status != 0)); then
  echo "asan.sh: no report, but the tests failed" >&2
  exit "$status"
fi
echo "asan.sh: ${#tests[@]} test file(s), no report"

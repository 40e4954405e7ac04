#!/bin/bash
# Builds a Debian package into build/, out of a checkout that is built: package-deb.sh [REVISION]. Nothing is fetched.
#
# Debian 12 has Node 18, and tapwall needs 20.19: the package brings along the Node that it was built with.
set -euo pipefail
cd "$(dirname "$0")/.."
revision=${1:-1}
version=$(node -p 'require("./package.json").version')-$revision
# As dch(1): whoever builds a package answers for it.
maintainer="${DEBFULLNAME:-$(git log -1 --format=%an)} <${DEBEMAIL:-$(git log -1 --format=%ae)}>"
architecture=$(dpkg --print-architecture)
name=tapwall_${version}_$architecture
tree=build/deb/$name
rm -rf "$tree"
lib=$tree/usr/lib/tapwall
doc=$tree/usr/share/doc/tapwall
mkdir -p "$lib/bin" "$lib/build/Release" "$tree"/{DEBIAN,etc/tapwall,usr/bin} "$doc"

node_version=$(node -p process.versions.node)
install -m 755 "$(node -p process.execPath)" "$lib/bin/node"
strip --strip-unneeded "$lib/bin/node" 2>/dev/null || true
install -m 644 build/Release/tapwall.node "$lib/build/Release/"
install -m 755 build/Release/tapwall-libvirt-hook "$lib/build/Release/"
strip --strip-unneeded "$lib"/build/Release/*
node scripts/package/modules.mjs "$lib/node_modules"
cp -r dist package.json schema "$lib/"
find "$lib/dist" \( -name '*.tsbuildinfo' -o -name '*.map' -o -name '*.d.ts' \) -delete
rm -rf "$lib/dist/man"

cat >"$tree/usr/bin/tapwall" <<'SH'
#!/bin/sh
exec /usr/lib/tapwall/bin/node --optimize-for-size --v8-pool-size=1 /usr/lib/tapwall/dist/cli/main.js "$@"
SH
chmod 755 "$tree/usr/bin/tapwall"

install -D -m 644 packaging/systemd/tapwall.service "$tree/lib/systemd/system/tapwall.service"
install -D -m 644 -t "$tree/usr/share/tapwall/monitoring" packaging/monitoring/*
install -m 644 packaging/debian/tapwall.yaml "$tree/etc/tapwall/tapwall.yaml"
node scripts/package/completions.mjs bash | install -D -m 644 /dev/stdin "$tree/usr/share/bash-completion/completions/tapwall"
node scripts/package/completions.mjs zsh | install -D -m 644 /dev/stdin "$tree/usr/share/zsh/vendor-completions/_tapwall"

npm run --silent build:man
for page in dist/man/*.[58]; do
  compressed=$tree/usr/share/man/man${page##*.}/$(basename "$page").gz
  mkdir -p "$(dirname "$compressed")"
  gzip -9n <"$page" >"$compressed"
done

install -m 644 README.md docs/*.md packaging/debian/README.Debian "$doc/"
cp -r docs/reference "$doc/reference"
cp -r examples "$doc/examples"
sed "s/@NODE_VERSION@/$node_version/" packaging/debian/copyright >"$doc/copyright"
gzip -9n <CHANGELOG.md >"$doc/changelog.gz"
# In the words of Debian's policy, section 4.4; the changes themselves are in changelog.gz.
{
  printf 'tapwall (%s) stable; urgency=medium\n\n' "$version"
  printf '  * See changelog.gz.\n\n'
  printf ' -- %s  %s\n' "$maintainer" "$(date -R)"
} | gzip -9n >"$doc/changelog.Debian.gz"

install -D -m 644 packaging/debian/lintian-overrides "$tree/usr/share/lintian/overrides/tapwall"
for script in postinst prerm postrm; do install -m 755 "packaging/debian/$script" "$tree/DEBIAN/$script"; done
(cd "$tree" && find etc -type f -printf '/%p\n') >"$tree/DEBIAN/conffiles"
find "$tree" -type d -exec chmod 755 {} +
find "$lib/node_modules" "$lib/dist" "$doc" -type f -exec chmod 644 {} +
# They are run by the Node of the package, never by another one that is found.
find "$lib/node_modules" "$lib/dist" -type f -exec sed -i '1{/^#!/d}' {} +

# The libraries that the programs ask for, with the versions they need at least.
mkdir -p build/deb/shlibs/debian
printf 'Source: tapwall\n\nPackage: tapwall\nArchitecture: any\n' >build/deb/shlibs/debian/control
depends=$(cd build/deb/shlibs && dpkg-shlibdeps -O --ignore-missing-info \
  "$OLDPWD/$lib/bin/node" "$OLDPWD/$lib/build/Release/tapwall.node" "$OLDPWD/$lib/build/Release/tapwall-libvirt-hook" 2>/dev/null | sed -n 's/^shlibs:Depends=//p')
size=$(du -sk --exclude=DEBIAN "$tree" | cut -f1)
sed -e "s/@VERSION@/$version/" -e "s/@ARCHITECTURE@/$architecture/" -e "s/@DEPENDS@/$depends/" -e "s/@SIZE@/$size/" -e "s/@MAINTAINER@/$maintainer/" \
  packaging/debian/control >"$tree/DEBIAN/control"
(cd "$tree" && find . -type f -not -path './DEBIAN/*' -printf '%P\0' | sort -z | xargs -0 md5sum) >"$tree/DEBIAN/md5sums"
dpkg-deb --root-owner-group -Zgzip --build "$tree" "build/$name.deb" >/dev/null
echo "build/$name.deb"

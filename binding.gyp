# For those who build with node-gyp (npm run build:gyp). The same sources and flags as native/CMakeLists.txt,
# the same output: build/Release/tapwall.node. No sanitizers here.
{
  'targets': [
    {
      'target_name': 'tapwall',
      'sources': ['<!@(ls native/src/*.cc)'],
      'include_dirs': ['<!(node -p "require(\'node-addon-api\').include_dir")'],
      'defines': [
        'NAPI_VERSION=8',
        'NAPI_DISABLE_CPP_EXCEPTIONS',
        'NODE_API_SWALLOW_UNTHROWABLE_EXCEPTIONS',
        'TAPWALL_LIBNFTABLES_VERSION="<!(node native/find-libraries.mjs --modversion libnftables)"',
        'TAPWALL_LIBMNL_VERSION="<!(node native/find-libraries.mjs --modversion libmnl)"',
      ],
      'cflags': ['<!@(node native/find-libraries.mjs --cflags)'],
      # node-gyp turns exceptions and RTTI off; native/src/guard.h is why they are needed.
      'cflags_cc!': ['-fno-exceptions', '-fno-rtti'],
      'cflags_cc': [
        '-std=c++17', '-Wall', '-Wextra', '-Wpedantic', '-Werror',
        '-fvisibility=hidden', '-fvisibility-inlines-hidden',
        '-fstack-protector-strong', '-U_FORTIFY_SOURCE', '-D_FORTIFY_SOURCE=2',
      ],
      'libraries': ['<!@(node native/find-libraries.mjs --libs)'],
      'ldflags': ['-Wl,-z,relro,-z,now'],
    },
    {
      # What libvirt's hook runs.
      'target_name': 'tapwall-libvirt-hook',
      'type': 'executable',
      'sources': ['<!@(ls native/hook/*.cc)'],
      'cflags_cc': [
        '-std=c++17', '-Wall', '-Wextra', '-Wpedantic', '-Werror',
        '-fstack-protector-strong', '-U_FORTIFY_SOURCE', '-D_FORTIFY_SOURCE=2',
      ],
      'ldflags': ['-Wl,-z,relro,-z,now'],
    },
  ],
}

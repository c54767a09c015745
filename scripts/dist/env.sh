# Build environment of packages: . scripts/dist/env.sh. It adds to scripts/env.sh what makes a program that runs elsewhere
# and whose bytes do not depend on the folder that it is built in.
. scripts/env.sh

# What C++ says of its own files names no folder of this machine.
export CGO_CXXFLAGS="$CGO_CXXFLAGS -ffile-prefix-map=$(pwd -P)=captioner"
export GOFLAGS="-mod=readonly -trimpath -tags=nodynamic,dist,libjpegstatic,libtiffstatic"

# Of these symbols the linker would take versions that glibc 2.28 does not have: cli/captioner/glibc.c has the old ones.
dist_wraps=
for dist_symbol in __libc_start_main dlopen dlsym dlclose dlerror exp log log2 pow fstat stat res_search pthread_create pthread_join \
	pthread_detach pthread_sigmask pthread_getattr_np pthread_attr_getstack pthread_attr_getstacksize pthread_key_create \
	pthread_setspecific pthread_getspecific pthread_once pthread_mutex_trylock pthread_condattr_setclock; do
	dist_wraps="$dist_wraps -Wl,--wrap=$dist_symbol"
done
# -no-pie: said here, for Go asks the linker by a trial that --wrap fails. -s: no symbols for debuggers. The libraries that glibc had before 2.34 are named, for the old versions are in them.
DIST_LDFLAGS="-s -w -buildid= -B none -extldflags '-no-pie -s -Wl,--build-id=none$dist_wraps -Wl,--no-as-needed -l:libresolv.so.2 -l:libpthread.so.0 -l:libdl.so.2 -Wl,--as-needed'"
export DIST_LDFLAGS

# The time of the commit stands for the time of the build.
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct)}
VERSION=$(sed -n 's/^const Version = "\(.*\)"$/\1/p' cli/console/version.go)
# The wheels that libtorch is taken from, and the releases of torch that fit: "2.11".
LIBTORCH_WHEELS=$(sed -n 's/^wheels="\(.*\)"$/\1/p' scripts/setup-libtorch)
TORCH=$(sed 's/^torch==\([0-9]*\.[0-9]*\).*/\1/' <<<"$LIBTORCH_WHEELS")
export SOURCE_DATE_EPOCH VERSION LIBTORCH_WHEELS TORCH
unset dist_wraps dist_symbol

# Build environment for gotch over the libtorch in .libtorch/. Use: . scripts/env.sh && go test ./...
# The strings are part of Go's build cache key: a changed byte rebuilds the binding (about two and a half minutes).
if [ -n "${BASH_SOURCE:-}" ]; then captioner_root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
elif [ -n "${ZSH_VERSION:-}" ]; then captioner_root=$(cd "$(dirname "${(%):-%x}")/.." && pwd -P)
else captioner_root=${CAPTIONER_ROOT:-$(pwd -P)}; fi

# Go splits these variables at spaces unless an argument is quoted; without a space in the path there is no quote, and
# the key stays.
captioner_q=
case $captioner_root in *[[:space:]]*) captioner_q="'" ;; esac

# Go does not see a changed header behind -I, so any libtorch but the tested one has its version in the key;
# from 2.12 on its headers want C++20, and a compiler wrapper is the only way past gotch's own -std=c++17.
captioner_extra= captioner_version=2.11.0
if [ -r "$captioner_root/.libtorch/version" ]; then read -r captioner_version <"$captioner_root/.libtorch/version" || :; fi
if [ "$captioner_version" != 2.11.0 ]; then captioner_extra=" -DCAPTIONER_LIBTORCH=$captioner_version"; fi
case $captioner_version in
2.1[2-9].*) export CXX="$captioner_q$captioner_root/scripts/cxx20$captioner_q" ;;
*) case ${CXX:-} in *scripts/cxx20*) unset CXX ;; esac ;;
esac

export CGO_ENABLED=1
export CGO_CXXFLAGS="$captioner_q-I$captioner_root/.libtorch/torch/include$captioner_q $captioner_q-I$captioner_root/.libtorch/torch/include/torch/csrc/api/include$captioner_q -include $captioner_q$captioner_root/torch/compat/gotch_compat.h$captioner_q -DGOTCH_COMPAT=1 -w$captioner_extra"
export CGO_LDFLAGS="$captioner_q-L$captioner_root/.libtorch/stubs$captioner_q $captioner_q-L$captioner_root/.libtorch/torch/lib$captioner_q"
export GOTCH_CACHE="$captioner_root/.libtorch/gotch-cache"
mkdir -p "$GOTCH_CACHE"
# HEIC and AVIF are decoded by the WebAssembly that is compiled in, not by whatever libheif a machine has: the same
# pixels everywhere.
case " ${GOFLAGS:-} " in *nodynamic*) ;; *) export GOFLAGS="${GOFLAGS:+$GOFLAGS }-tags=nodynamic" ;; esac
# Without libtiff's headers (scripts/setup-system says so) the build reads the TIFF files that pure Go can.
if ! { [ -e /usr/include/tiffio.h ] || [ -e /usr/local/include/tiffio.h ] || [ -e "/usr/include/$(uname -m)-linux-gnu/tiffio.h" ] ||
	printf '#include <tiffio.h>\n' | "${CC:-gcc}" -E - >/dev/null 2>&1; }; then
	case $GOFLAGS in *nolibtiff*) ;; *) GOFLAGS=$(printf '%s' "$GOFLAGS" | sed 's/-tags=nodynamic/-tags=nodynamic,nolibtiff/') ;; esac
fi
unset captioner_root captioner_q captioner_extra captioner_version

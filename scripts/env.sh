# Build environment for gotch over the libtorch in .libtorch/. Use: . scripts/env.sh && go test ./...
# The strings are part of Go's build cache key: a changed byte rebuilds the binding (about two and a half minutes).
if [ -n "${BASH_SOURCE:-}" ]; then captioner_root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
elif [ -n "${ZSH_VERSION:-}" ]; then captioner_root=$(cd "$(dirname "${(%):-%x}")/.." && pwd -P)
else captioner_root=${CAPTIONER_ROOT:-$(pwd -P)}; fi
export CGO_ENABLED=1
export CGO_CXXFLAGS="-I$captioner_root/.libtorch/torch/include -I$captioner_root/.libtorch/torch/include/torch/csrc/api/include -include $captioner_root/torch/compat/gotch_compat.h -DGOTCH_COMPAT=1 -w"
export CGO_LDFLAGS="-L$captioner_root/.libtorch/stubs -L$captioner_root/.libtorch/torch/lib"
export GOTCH_CACHE="$captioner_root/.libtorch/gotch-cache"
mkdir -p "$GOTCH_CACHE"
unset captioner_root

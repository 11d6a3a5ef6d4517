# SPDX-License-Identifier: BSL-1.0
# shellcheck shell=bash
# Sourced by tests/run, benchmarks/run and .ci/run (bash): what they need of the machine.
#
#   tideover_need PACKAGE...      says which of these Debian packages are missing and installs them, as root or by
#                                 sudo; fails after saying what to do if it cannot. Silent, and without network,
#                                 when everything is there. All it says goes to standard error.
#   tideover_missing PACKAGE...   prints the missing ones, one a line
#
# A package is there when what we use of it is there, however it came: a Boost of one's own below /usr/local or
# CMAKE_PREFIX_PATH will do. TIDEOVER_INSTALL_PACKAGES=no: say what is missing, install nothing.

# Whether the tool $1 answers --version with at least $2.
tideover_has_tool() {
  local found
  command -v "$1" >/dev/null 2>&1 || return 1
  found=$("$1" --version 2>/dev/null | grep -oE '[0-9]+\.[0-9]+(\.[0-9]+)?' | head -n 1)
  [ "$(printf '%s\n' "$2" "${found:-0}" | sort -V | head -n 1)" = "$2" ]
}

# The first place of header $1 among the directories that the compilers and CMake look into; fails if there is none.
tideover_find_header() {
  local directory IFS=':;'
  for directory in ${CMAKE_PREFIX_PATH-} ${BOOST_ROOT-} ${Boost_ROOT-} /usr/local /usr; do
    [ -f "$directory/include/$1" ] && { printf '%s\n' "$directory/include/$1"; return 0; }
  done
  return 1
}

tideover_has_boost() {
  local header version
  header=$(tideover_find_header boost/version.hpp) || return 1
  version=$(sed -n 's/^#define BOOST_VERSION \([0-9]*\).*/\1/p' "$header")
  [ "${version:-0}" -ge 108100 ]
}

tideover_has_package() {
  case $1 in
    g++) tideover_has_tool g++ 12 ;;
    clang-[0-9]*) tideover_has_tool "clang++-${1#clang-}" "${1#clang-}" ;;
    libclang-rt-*-dev)
      local release=${1#libclang-rt-}
      compgen -G "$("clang++-${release%-dev}" -print-resource-dir 2>/dev/null)/lib/linux/libclang_rt.fuzzer*" >/dev/null
      ;;
    cmake) tideover_has_tool cmake 3.25 ;;
    ninja-build) tideover_has_tool ninja 1 ;;
    ccache | git | clang-format-*) command -v "$1" >/dev/null 2>&1 ;;
    pkg-config) command -v pkg-config >/dev/null 2>&1 || command -v pkgconf >/dev/null 2>&1 ;;
    libboost1.81-dev) tideover_has_boost ;;
    catch2) tideover_find_header catch2/catch_all.hpp >/dev/null || tideover_find_header catch2/catch.hpp >/dev/null ;;
    libfmt-dev) tideover_find_header fmt/format.h >/dev/null ;;
    libbenchmark-dev) tideover_find_header benchmark/benchmark.h >/dev/null ;;
    libcli11-dev) tideover_find_header CLI/CLI.hpp >/dev/null ;;
    nlohmann-json3-dev) tideover_find_header nlohmann/json.hpp >/dev/null ;;
    libssl-dev) tideover_find_header openssl/hmac.h >/dev/null ;;
    libxxhash-dev) tideover_find_header xxhash.h >/dev/null ;;
    libzstd-dev) tideover_find_header zstd.h >/dev/null ;;
    libpoco-dev) tideover_find_header Poco/ExpireLRUCache.h >/dev/null ;;
    libsqlite3-dev) tideover_find_header sqlite3.h >/dev/null ;;
    libpq-dev) tideover_find_header postgresql/libpq-fe.h >/dev/null || tideover_find_header libpq-fe.h >/dev/null ;;
    libhiredis-dev) tideover_find_header hiredis/hiredis.h >/dev/null ;;
    redis-server) command -v redis-server >/dev/null 2>&1 ;;
    postgresql) compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null || command -v initdb >/dev/null 2>&1 ;;
    libtbb-dev) tideover_find_header tbb/concurrent_lru_cache.h >/dev/null ;;
    valgrind) command -v valgrind >/dev/null 2>&1 && tideover_find_header valgrind/callgrind.h >/dev/null ;;
    *) [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ] ;;
  esac
}

tideover_missing() {
  local package
  for package; do tideover_has_package "$package" || printf '%s\n' "$package"; done
}

tideover_need() {
  local missing
  missing=$(tideover_missing "$@")
  [ -n "$missing" ] || return 0
  # shellcheck disable=SC2086  # a word each
  tideover_install $missing >&2
}

tideover_install() {
  local missing as_root=() apt
  echo "Missing Debian packages: $*"
  if [ "${TIDEOVER_INSTALL_PACKAGES-yes}" = no ] || ! command -v apt-get >/dev/null 2>&1; then
    echo "Install them, or what they stand for, and run this again."
    return 1
  fi
  if [ "$(id -u)" -ne 0 ]; then
    if ! command -v sudo >/dev/null 2>&1; then
      echo "Neither root nor sudo is here; as root, run: apt-get install $*"
      return 1
    fi
    as_root=(sudo)
  fi

  # --no-remove: Debian's libboost1.81-dev excludes the older libboost-dev, which is not ours to take away.
  apt=("${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -q -y --no-install-recommends --no-remove
    -o Dpkg::Use-Pty=0)
  echo "Installing them: ${apt[*]} install $*"
  if ! "${apt[@]}" install "$@" </dev/null; then
    echo "Not with the package lists as they are; fetching new ones first."
    { "${as_root[@]}" apt-get -q update </dev/null && "${apt[@]}" install "$@" </dev/null; } || true
  fi

  missing=$(tideover_missing "$@" | xargs)
  [ -n "$missing" ] || return 0
  echo "Still missing: $missing"
  if [[ " $missing " == *" libboost1.81-dev "* ]]; then
    echo "Another libboost-dev, if installed, stands in its way: remove that one, or set CMAKE_PREFIX_PATH to the" \
      "prefix of a Boost of 1.81 or newer."
  fi
  return 1
}

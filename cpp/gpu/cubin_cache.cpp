#include "gpu/cubin_cache.h"

#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>

namespace e3md::gpu {
namespace {

namespace fs = std::filesystem;

std::string variable(const char* name) {
  const char* value = std::getenv(name);
  return value ? value : "";
}

std::string folder() {
  if (const std::string caches = variable("XDG_CACHE_HOME"); !caches.empty())
    return caches + "/e3md";
  const std::string home = variable("HOME");
  return home.empty() ? "" : home + "/.cache/e3md";
}

/// FNV-1a, the same on every machine.
uint64_t hash(const std::string& text, uint64_t start) {
  uint64_t found = start;
  for (const unsigned char c : text) found = (found ^ c) * 0x100000001b3;
  return found;
}

std::string name(const std::string& text) {
  char hex[33];
  std::snprintf(hex, sizeof(hex), "%016llx%016llx",
                static_cast<unsigned long long>(hash(text, 0xcbf29ce484222325)),
                static_cast<unsigned long long>(hash(text, 0x84222325cbf29ce4)));
  return hex;
}

}  // namespace

CubinCache::CubinCache(const std::string& text, const std::string& level,
                       const std::string& version) {
  const std::string where = folder();
  if (!where.empty())
    path_ = where + "/" + name(text) + "-" + level + "-nvrtc" + version + ".cubin";
}

std::string CubinCache::read() const {
  std::ifstream file(path_, std::ios::binary);
  if (!file) return "";
  return {std::istreambuf_iterator<char>(file), {}};
}

void CubinCache::write(const std::string& cubin) const {
  if (path_.empty()) return;
  std::error_code failed;
  const fs::path parent = fs::path(path_).parent_path();
  if (fs::create_directories(parent, failed))
    fs::permissions(parent, fs::perms::owner_all, failed);  // machine code: this user's alone
  std::string temporary = path_ + ".XXXXXX";
  const int file = mkstemp(temporary.data());
  if (file < 0) return;
  const bool whole =
      ::write(file, cubin.data(), cubin.size()) == static_cast<ssize_t>(cubin.size());
  const bool closed = ::close(file) == 0;
  if (whole && closed) fs::rename(temporary, path_, failed);
  if (!whole || !closed || failed) fs::remove(temporary, failed);
}

}  // namespace e3md::gpu

#pragma once
#include <string>

namespace e3md::gpu {

/// A place for one cubin, in XDG_CACHE_HOME/e3md, else in ~/.cache/e3md. Several processes may read
/// and write it at once. Without a folder that can be written there is no cache.
class CubinCache {
 public:
  CubinCache(const std::string& text, const std::string& level, const std::string& version);

  /// Empty if there is none.
  std::string read() const;
  void write(const std::string& cubin) const;

 private:
  std::string path_;
};

}  // namespace e3md::gpu

#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace caffe2::serialize {
class PyTorchStreamReader;
}

namespace e3md {

/// A zip archive of torch.save or torch.jit.save in memory, whole: every record has the CRC-32 that
/// the archive states for it.
class Archive {
 public:
  struct Record {
    std::string name;  ///< without the folder that all records of an archive lie in
    uint32_t crc = 0;
    uint64_t size = 0;    ///< bytes, inflated
    uint64_t stored = 0;  ///< bytes in the file
    bool deflated = false;
  };

  /// Reads and checks a file. what: what it should be, for messages, as "e3md model".
  /// Throws Error, naming the file and the record at fault.
  Archive(const std::string& path, const std::string& what);

  const std::vector<Record>& records() const { return records_; }
  const std::vector<char>& bytes() const { return bytes_; }
  bool has(std::string_view name) const;
  /// Throws Error if there is no such record.
  std::string read(const std::string& name) const;
  /// Whether it carries a list of its records: files of format_version 1 do not.
  bool has_list() const;
  /// Throws Error, naming a record, if the file's list of its records is not of this file.
  void check_list() const;

 private:
  std::string path_;
  std::vector<char> bytes_;  // a move leaves them where reader_ looks
  std::vector<Record> records_;
  mutable std::shared_ptr<caffe2::serialize::PyTorchStreamReader> reader_;
};

/// Throws Error if a file is no whole archive; for checkpoints and caches, which torch reads.
void check_archive(const std::string& path);

}  // namespace e3md

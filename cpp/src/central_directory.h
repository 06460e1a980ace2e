#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "e3md/archive.h"

namespace e3md {

/// Records of a zip archive as its central directory lists them (APPNOTE.TXT 4.3.12, with the zip64
/// fields that torch writes), and where their bytes begin.
struct CentralDirectory {
  std::vector<Archive::Record> records;
  std::vector<uint64_t> begins;  ///< of the stored bytes of each record
};

/// Throws std::runtime_error, saying what does not fit, for bytes that are no such archive.
CentralDirectory read_central_directory(std::string_view bytes);

}  // namespace e3md

#pragma once
#include <cstdio>
#include <cstdlib>
#include <string>

#include "e3md/error.h"

/// Ends the test with the place and the condition that does not hold.
#define REQUIRE(condition)                                                           \
  do {                                                                               \
    if (!(condition)) {                                                              \
      std::fprintf(stderr, "%s:%d: not true: %s\n", __FILE__, __LINE__, #condition); \
      std::exit(1);                                                                  \
    }                                                                                \
  } while (0)

/// Ends the test unless `call` throws an e3md::Error whose text contains `words`.
template <class Call>
void require_error(Call call, const std::string& words) {
  try {
    call();
  } catch (const e3md::Error& error) {
    if (std::string(error.what()).find(words) != std::string::npos) return;
    std::fprintf(stderr, "error without '%s': %s\n", words.c_str(), error.what());
    std::exit(1);
  }
  std::fprintf(stderr, "no error, expected '%s'\n", words.c_str());
  std::exit(1);
}

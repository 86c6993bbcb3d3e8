#pragma once

#include <array>
#include <cstddef>

namespace deeplinear::loader {

struct Levels {
  std::array<const char*, 3> names{};  // best first
  std::size_t count = 0;

  void add(const char* name) { names[count++] = name; }
};

// The levels that this processor and its operating system can run.
inline Levels supported_levels() {
  Levels levels;
#ifdef __x86_64__
  __builtin_cpu_init();
  bool v3 = __builtin_cpu_supports("avx") && __builtin_cpu_supports("avx2") &&
            __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2") &&
            __builtin_cpu_supports("fma");
// Older Clangs don't know these names.
#if !defined(__clang__) || (!defined(__apple_build_version__) && __clang_major__ >= 18)
  v3 = v3 && __builtin_cpu_supports("f16c") && __builtin_cpu_supports("lzcnt") &&
       __builtin_cpu_supports("movbe");
#endif
  const bool v4 = v3 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                  __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq") &&
                  __builtin_cpu_supports("avx512vl");
  if (v4) levels.add("x86-64-v4");
  if (v3) levels.add("x86-64-v3");
  levels.add("x86-64");
#else
  levels.add("generic");
#endif
  return levels;
}

}  // namespace deeplinear::loader

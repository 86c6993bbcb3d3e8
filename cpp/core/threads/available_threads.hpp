// How many threads can start. The OpenMP runtime does not ask: it ends the process where one can't.
#pragma once

#include <string>

namespace deeplinear {

// Of so many threads those that the next parallel region of the calling thread can have, itself
// among them. Those that are not there yet are started and joined, at the same time and with the
// stack that the runtime gives them. One alone within a region, and in a process that was forked
// from one that had several.
int available_threads(int wanted);

// What is told, in a sentence, where there are fewer than wanted: on the calling thread, before its
// work; may throw.
using FewerThreads = void (*)(const std::string& sentence);
void on_fewer_threads(FewerThreads tell);

}  // namespace deeplinear

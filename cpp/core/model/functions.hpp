// The functions of one number that a network and its risk are made of, by their places in tables.
#pragma once

namespace deeplinear {

// The function between the layers: a place in the table of pointwise/activation.hpp
enum class Activation { identity = 0 };

// The loss of an output: a place in the table of pointwise/loss.hpp
enum class LossFunction { squared = 0 };

}  // namespace deeplinear

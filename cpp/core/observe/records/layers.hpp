// The first singular values and vectors of the layers.
#pragma once

#include "observe/sight.hpp"

namespace deeplinear::records {

namespace detail {

// Calls body(k, spectra) for the first `count` layers; for none where it was stopped.
template <class Body>
void for_each_layer(Sight& sight, std::size_t count, Body body) {
  const auto& spectra = sight.spectra();
  for (std::size_t k = 0; k < count && !sight.stop().requested(); ++k) body(k, spectra);
}

}  // namespace detail

inline constexpr Observable layer_norm{
    .name = "layer_norm",
    .meaning = "spectral norm of the layer",
    .axes = {Axis::layer},
    .write = [](Sight& sight, std::span<double> out) {
      detail::for_each_layer(sight, out.size(), [&](std::size_t k, const auto& spectra) {
        out[k] = spectra[k].first;
      });
    }};

inline constexpr Observable rank_one_gap{
    .name = "rank_one_gap",
    .meaning = "second over first singular value of the layer",
    .axes = {Axis::layer},
    .write = [](Sight& sight, std::span<double> out) {
      detail::for_each_layer(sight, out.size(), [&](std::size_t k, const auto& spectra) {
        out[k] = deeplinear::rank_one_gap(spectra[k]);
      });
    }};

inline constexpr Observable alignment{
    .name = "alignment",
    .meaning = "|u_k . v_{k+1}| of first singular vectors of neighbouring layers",
    .axes = {Axis::pair},
    .write = [](Sight& sight, std::span<double> out) {
      detail::for_each_layer(sight, out.size(), [&](std::size_t k, const auto& spectra) {
        out[k] = deeplinear::alignment(spectra[k], spectra[k + 1]);
      });
    }};

}  // namespace deeplinear::records

#include "run/groups.hpp"

namespace deeplinear {

template Outcome run_wide<float>(const Problem&, const Plan&, float*, const Records&, Stop&);
template Outcome run_lanes<float>(const Problem&, const Plan&, float*, const Records&, Stop&);
template Outcome run_resident<float>(const Problem&, const Plan&, float*, const Records&, Stop&);

}  // namespace deeplinear

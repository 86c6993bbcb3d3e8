#include "run/groups.hpp"

namespace deeplinear {

template Outcome run_wide<double>(const Problem&, const Plan&, double*, const Records&, Stop&);
template Outcome run_lanes<double>(const Problem&, const Plan&, double*, const Records&, Stop&);
template Outcome run_resident<double>(const Problem&, const Plan&, double*, const Records&, Stop&);

}  // namespace deeplinear

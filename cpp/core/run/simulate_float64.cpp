#include "run/engines.hpp"

namespace deeplinear {

template Outcome simulate<double>(const Problem&, const Plan&, double*, const Records&,
                                  const Monitor&);

}  // namespace deeplinear

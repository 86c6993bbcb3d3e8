#include "run/engines.hpp"

namespace deeplinear {

template Outcome simulate<float>(const Problem&, const Plan&, float*, const Records&,
                                 const Monitor&);

}  // namespace deeplinear

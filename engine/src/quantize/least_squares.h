// Small least-squares problems by their normal equations.
#ifndef BQENGINE_QUANTIZE_LEAST_SQUARES_H_
#define BQENGINE_QUANTIZE_LEAST_SQUARES_H_

#include <vector>

namespace bqengine::quantize {

// Solves gram * a = moments, where gram (size x size, row-major) is B^T B and
// moments is B^T w for the columns B of a least-squares problem; symmetric and
// positive semidefinite. Columns that earlier chosen ones span, so that the
// equations are singular, get 0, which costs nothing: the others reach the same
// minimum.
std::vector<double> SolveNormalEquations(std::vector<double> gram,
                                         std::vector<double> moments);

}  // namespace bqengine::quantize

#endif  // BQENGINE_QUANTIZE_LEAST_SQUARES_H_

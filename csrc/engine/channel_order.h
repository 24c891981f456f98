// The order of channels inside a chain of layers, which is free: a layer may write its outputs in any order if the next one
// reads them so. For kernels that have short sums, inputs that meet in one sum are chosen so that few sums break the bound.
#pragma once

#include <vector>

#include "engine/model.h"

namespace fastnst {

// Reorders the channels of every map between two of the layers, and so both their weights. What comes in and goes out stays.
void order_channels(std::vector<Layer>& layers);

}  // namespace fastnst

#include "engine/channel_order.h"

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <utility>

#include "engine/short_sums.h"

namespace fastnst {
namespace {

constexpr int kBound = short_bound(UINT8_MAX);
constexpr int kMostChannels = 1024;  // of a map that is reordered; time and memory grow with the square

// A table with a number for every two channels of a map.
class Table {
 public:
  explicit Table(int channels) : channels_(channels), numbers_(size_t(channels) * channels) {}
  int32_t* row(int channel) { return numbers_.data() + size_t(channel) * channels_; }
  int32_t both(int a, int b) const { return numbers_[size_t(a) * channels_ + b] + numbers_[size_t(b) * channels_ + a]; }

 private:
  int channels_;
  std::vector<int32_t> numbers_;
};

// How often each two inputs of a layer would together break the bound of a sum, over its kernels and their taps.
Table count_breaks(const Layer& layer, int channels) {
  Table table(channels);
  const int inputs = layer.inputs;
  for (size_t first = 0; first < layer.weights.size(); first += size_t(inputs)) {
    const int8_t* taps = layer.weights.data() + first;
    for (int a = 0; a < inputs; a++) {
      if (std::abs(int(taps[a])) <= kBound / 2) continue;  // the larger of two that break it is above half of it
      int32_t* breaks = table.row(a);
      const int rest = kBound - std::abs(int(taps[a]));
      if (taps[a] > 0)
        for (int b = 0; b < inputs; b++) breaks[b] += int(taps[b]) > rest;
      else
        for (int b = 0; b < inputs; b++) breaks[b] += -int(taps[b]) > rest;
    }
  }
  return table;
}

using Pair = std::pair<int, int>;

// Channels two by two: the one that breaks most first, with the one that it breaks least with, then better by exchanges.
std::vector<Pair> paired(const Table& table, int channels) {
  std::vector<std::pair<int64_t, int>> order;
  for (int c = 0; c < channels; c++) {
    int64_t all = 0;
    for (int other = 0; other < channels; other++)
      if (other != c) all += table.both(c, other);
    order.push_back({-all, c});
  }
  std::sort(order.begin(), order.end());
  std::vector<bool> taken(static_cast<size_t>(channels));
  std::vector<Pair> pairs;
  for (const auto& [all, c] : order) {
    if (taken[c]) continue;
    taken[c] = true;
    int best = -1;
    for (auto other = order.rbegin(); other != order.rend(); other++)  // of equal ones the one that breaks least with others
      if (!taken[other->second] && (best < 0 || table.both(c, other->second) < table.both(c, best))) best = other->second;
    taken[best] = true;
    pairs.push_back({c, best});
  }
  for (bool better = true; better;) {
    better = false;
    for (size_t i = 0; i < pairs.size(); i++)
      for (size_t j = 0; j < i; j++) {
        auto& [a, b] = pairs[i];
        auto& [c, d] = pairs[j];
        const int now = table.both(a, b) + table.both(c, d);
        if (table.both(a, c) + table.both(b, d) < now)
          std::swap(b, c), better = true;
        else if (table.both(a, d) + table.both(c, b) < now)
          std::swap(b, d), better = true;
      }
  }
  return pairs;
}

// The channels of the map that a layer reads, in the order in which they are to lie.
std::vector<int> best_order(const Layer& reader) {
  const int inputs = reader.inputs, channels = inputs + inputs % 2;  // the last one of an odd number meets a lane of zeros
  const Table table = count_breaks(reader, channels);
  std::vector<Pair> pairs = paired(table, channels);
  // Pairs that break the bound at all share steps, so that others are free of it.
  std::stable_sort(pairs.begin(), pairs.end(), [&](const Pair& a, const Pair& b) {
    const bool zeros_a = std::max(a.first, a.second) == inputs, zeros_b = std::max(b.first, b.second) == inputs;
    if (zeros_a != zeros_b) return zeros_b;
    return table.both(a.first, a.second) > table.both(b.first, b.second);
  });
  std::vector<int> order;
  for (const auto& [a, b] : pairs) order.push_back(std::min(a, b)), order.push_back(std::max(a, b));
  order.resize(size_t(inputs));
  return order;
}

template <typename Number>
void reorder_outputs(std::vector<Number>& numbers, const std::vector<int>& order, size_t each) {
  const std::vector<Number> old = numbers;
  for (size_t first = 0; first < numbers.size(); first += order.size() * each)
    for (size_t o = 0; o < order.size(); o++)
      std::copy_n(old.data() + first + size_t(order[o]) * each, each, numbers.data() + first + o * each);
}

void reorder_inputs(std::vector<int8_t>& weights, const std::vector<int>& order) {
  const std::vector<int8_t> old = weights;
  for (size_t first = 0; first < weights.size(); first += order.size())
    for (size_t i = 0; i < order.size(); i++) weights[first + i] = old[first + size_t(order[i])];
}

}  // namespace

void order_channels(std::vector<Layer>& layers) {
  for (size_t i = 0; i + 1 < layers.size(); i++) {
    Layer &writer = layers[i], &reader = layers[i + 1];
    if (reader.inputs > kMostChannels) continue;
    const std::vector<int> order = best_order(reader);
    reorder_outputs(writer.weights, order, writer.weights.size() / writer.bias.size());
    reorder_outputs(writer.bias, order, 1);
    reorder_outputs(writer.multiplier, order, 1);
    reorder_inputs(reader.weights, order);
  }
}

}  // namespace fastnst

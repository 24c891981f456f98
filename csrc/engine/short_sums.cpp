#include "engine/short_sums.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "base/checked.h"

namespace fastnst {
namespace {

constexpr int kStep = kLanes * 4;  // weights of a step
constexpr int kPairs = kStep / 2;  // its sums
constexpr int kOpen = 16;          // groups that a step may join

// The positive weights of each pair, then the negative ones, as sums.
using Bounds = std::array<uint8_t, 2 * kPairs>;

struct Step {
  const int8_t* weights;
  int32_t place;
  int most;  // of the bounds
  Bounds bounds;

  Step(const int8_t* weights, int32_t place) : weights(weights), place(place) {
    int highest = 0;
    for (int i = 0; i < kPairs; i++) {
      const int a = weights[2 * i], b = weights[2 * i + 1];
      const int up = std::max(a, 0) + std::max(b, 0), down = std::max(-a, 0) + std::max(-b, 0);
      bounds[i] = uint8_t(std::min(up, 255)), bounds[kPairs + i] = uint8_t(std::min(down, 255));
      highest = std::max(highest, std::max(up, down));
    }
    most = highest;
  }
};

struct Group {
  int32_t run;
  Bounds bounds;
  int size;
  const Step* steps[kMaxTogether];

  // Whether the bound still holds with this step.
  bool takes(const Step& step) const {
    int over = 0;
    for (int i = 0; i < 2 * kPairs; i++) over |= bounds[i] > kShortBound - step.bounds[i];
    return over == 0;
  }
  void add(const Step& step) {
    for (int i = 0; i < 2 * kPairs; i++) bounds[i] = uint8_t(bounds[i] + step.bounds[i]);
    steps[size++] = &step;
  }
};

// The groups of a block by their sizes; 0: steps to be widened.
using Groups = std::array<std::vector<Group>, kMaxTogether + 1>;

// Adds the groups of one run's steps, by first fit: the steps with the largest bounds find their places first.
void gather(std::vector<Step>& steps, int32_t run, Groups& groups) {
  std::sort(steps.begin(), steps.end(),
            [](const Step& a, const Step& b) { return a.most != b.most ? a.most > b.most : a.place < b.place; });
  std::vector<Group> open;
  const auto close = [&](size_t at) {
    groups[open[at].size].push_back(open[at]);
    open.erase(open.begin() + ptrdiff_t(at));
  };
  for (const Step& step : steps) {
    if (step.most > kShortBound) {
      groups[0].push_back({run, {}, 1, {&step}});
      continue;
    }
    size_t at = 0;
    while (at < open.size() && !open[at].takes(step)) at++;
    if (at == open.size()) {
      if (at == kOpen) close(0), at--;
      open.push_back({run, {}, 0, {}});
    }
    open[at].add(step);
    if (open[at].size == kMaxTogether) close(at);
  }
  while (!open.empty()) close(0);
}

// Bytes 0 and 2, and 1 and 3, of each lane, in 16 bits, 8 lanes after 8.
void put_widened(const int8_t* weights, int8_t* to) {
  for (int lane = 0; lane < kLanes; lane++)
    for (int byte = 0; byte < 4; byte++) {
      const int16_t word = weights[lane * 4 + byte];
      std::memcpy(to + (((lane / 8 * 2 + byte % 2) * 8 + lane % 8) * 2 + byte / 2) * 2, &word, sizeof word);
    }
}

}  // namespace

ShortSums::ShortSums(const int8_t* weights, int rows, int steps, int blocks) {
  // Addresses are known when all is there.
  std::vector<std::array<size_t, 2>> starts;
  std::vector<int8_t> arranged;
  int64_t size = 0;
  std::vector<std::vector<Step>> runs(static_cast<size_t>(rows));
  const int8_t* group = weights;
  for (int block = 0, within = 0; block < blocks; block++) {
    const int together = group_size(blocks - block + within);
    Groups groups;
    for (int r = 0; r < rows; r++) {
      std::vector<Step>& run = runs[r];
      run.clear();
      for (int s = 0; s < steps; s++) {
        const int8_t* own = group + ((int64_t(r) * steps + s) * together + within) * kStep;
        const Step step(own, 4 * s);
        if (step.most > 0) run.push_back(step);
      }
      gather(run, r, groups);
    }
    starts.push_back({places_.size(), arranged.size()});
    ShortBlock made{};
    for (int i = 0; i <= kMaxTogether; i++) {
      const int kind = kMaxTogether - i;
      made.groups[kind] = int32_t(groups[kind].size());
      for (const Group& each : groups[kind]) {
        places_.push_back(each.run);
        for (int s = 0; s < each.size; s++) {
          places_.push_back(each.steps[s]->place);
          const size_t at = arranged.size();
          arranged.resize(at + (kind > 0 ? kStep : 2 * kStep));
          if (kind > 0)
            std::memcpy(arranged.data() + at, each.steps[s]->weights, kStep);
          else
            put_widened(each.steps[s]->weights, arranged.data() + at);
        }
      }
    }
    blocks_.push_back(made);
    if (++within == together) group += int64_t(rows) * steps * together * kStep, within = 0;
  }
  size = int64_t(arranged.size());
  weights_ = Buffer(size_t(size));
  if (size > 0) std::memcpy(weights_.data(), arranged.data(), size_t(size));
  for (size_t i = 0; i < blocks_.size(); i++) {
    blocks_[i].places = places_.data() + starts[i][0];
    blocks_[i].weights = reinterpret_cast<const int8_t*>(weights_.data()) + starts[i][1];
  }
}

ShortSums::Counts ShortSums::counts() const {
  Counts counts{0, 0};
  for (const ShortBlock& block : blocks_) {
    for (int size = 0; size <= kMaxTogether; size++) counts.steps += std::max(size, 1) * block.groups[size];
    counts.widened += block.groups[0];
  }
  return counts;
}

}  // namespace fastnst

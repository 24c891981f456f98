#include "engine/short_sums.h"

#include <algorithm>
#include <array>
#include <cstring>

namespace fastnst {
namespace {

constexpr int kStep = kLanes * 4;  // weights of a step
constexpr int kPairs = kStep / 2;  // its sums of 16 bits
constexpr int kOpen = 8;           // groups that a step may join

// Numbers for eight sums of a step, in vectors that every machine has: proofs are to take less time than reading the file.
using Eight [[gnu::vector_size(16)]] = int16_t;
constexpr int kEights = kPairs / 8;

// What the positive and the negative weights of each sum add up to.
struct Totals {
  Eight up[kEights] = {}, down[kEights] = {};

  Totals() = default;
  explicit Totals(const int8_t* weights) {
    for (int i = 0; i < kEights; i++) {
      Eight both;
      std::memcpy(&both, weights + 16 * i, sizeof both);
      const Eight first = both << 8 >> 8, second = both >> 8;
      up[i] = ((first > 0) & first) + ((second > 0) & second);
      down[i] = -(((first < 0) & first) + ((second < 0) & second));
    }
  }
  void add(const Totals& other) {
    for (int i = 0; i < kEights; i++) up[i] += other.up[i], down[i] += other.down[i];
  }
  int most() const {
    Eight highest = {};
    for (int i = 0; i < kEights; i++) {
      highest = up[i] > highest ? up[i] : highest;
      highest = down[i] > highest ? down[i] : highest;
    }
    int most = 0;
    for (int i = 0; i < 8; i++) most = std::max<int>(most, highest[i]);
    return most;
  }
  // Whether the sums with another's stay within a bound.
  bool fits(const Totals& other, int16_t bound) const {
    Eight over = {};
    for (int i = 0; i < kEights; i++) over |= (up[i] + other.up[i] > bound) | (down[i] + other.down[i] > bound);
    uint64_t parts[2];
    std::memcpy(parts, &over, sizeof over);
    return (parts[0] | parts[1]) == 0;
  }
};

struct Step {
  const int8_t* weights;
  int32_t place;
};

// Steps that are summed together, and in which run.
struct Group {
  int32_t run = 0;
  int size = 0;
  Step steps[kMaxTogether];
  Totals totals;
};

// The groups of a block by their sizes; 0: steps to be widened.
using Groups = std::array<std::vector<Group>, kMaxTogether + 1>;

// Bytes 0 and 2, and 1 and 3, of each lane, in 16 bits, 8 lanes after 8.
void put_widened(const int8_t* weights, int8_t* to) {
  for (int lane = 0; lane < kLanes; lane++)
    for (int byte = 0; byte < 4; byte++) {
      const int16_t word = weights[lane * 4 + byte];
      std::memcpy(to + (((lane / 8 * 2 + byte % 2) * 8 + lane % 8) * 2 + byte / 2) * 2, &word, sizeof word);
    }
}

// Makes groups of one run's steps by first fit: those with the largest sums find their places first.
class Gatherer {
 public:
  Gatherer(int most, Groups& groups) : bound_(int16_t(short_bound(most))), groups_(groups) {}

  // `stride` bytes lie between the weights of one step and of the next.
  void gather(const int8_t* weights, int64_t stride, int steps, int32_t run) {
    totals_.clear(), order_.clear();
    for (int s = 0; s < steps; s++) {
      const Totals& totals = totals_.emplace_back(weights + s * stride);
      const int most = totals.most();
      if (most > bound_)
        groups_[0].push_back({run, 1, {{weights + s * stride, 4 * s}}, {}});
      else if (most > 0)
        order_.push_back({bound_ - most, s});
    }
    std::sort(order_.begin(), order_.end());
    int open = 0;
    for (const auto& [rest, s] : order_) {
      int at = 0;
      while (at < open && !open_[at].totals.fits(totals_[s], bound_)) at++;
      if (at == kOpen) close(0, open), at--;
      if (at == open) open_[open++] = Group{run, 0, {}, {}};
      Group& group = open_[at];
      group.steps[group.size++] = {weights + s * stride, 4 * s};
      group.totals.add(totals_[s]);
      if (group.size == kMaxTogether) close(at, open);
    }
    while (open > 0) close(0, open);
  }

 private:
  void close(int at, int& open) {
    groups_[open_[at].size].push_back(open_[at]);
    std::move(open_ + at + 1, open_ + open, open_ + at);
    open--;
  }

  int16_t bound_;
  Groups& groups_;
  std::vector<Totals> totals_;
  std::vector<std::array<int, 2>> order_;  // what is left to the bound, and which step
  Group open_[kOpen];
};

}  // namespace

ShortSums::ShortSums(const int8_t* weights, int rows, int steps, int blocks, int most) {
  std::vector<std::array<size_t, 2>> begins;  // of each block's places and weights, which move while they grow
  std::vector<int8_t> arranged;
  Groups groups;
  Gatherer gatherer(most, groups);
  const int8_t* group = weights;
  for (int block = 0, within = 0; block < blocks; block++) {
    const int together = group_size(blocks - block + within);
    const int64_t stride = int64_t(together) * kStep;
    for (auto& each : groups) each.clear();
    for (int r = 0; r < rows; r++) gatherer.gather(group + r * steps * stride + within * kStep, stride, steps, r);
    begins.push_back({places_.size(), arranged.size()});
    ShortBlock& made = blocks_.emplace_back();
    for (int kind = kMaxTogether; kind >= 0; kind--) {
      made.groups[kind] = int32_t(groups[kind].size());
      for (const Group& each : groups[kind]) {
        places_.push_back(each.run);
        for (int s = 0; s < each.size; s++) {
          places_.push_back(each.steps[s].place);
          const size_t at = arranged.size();
          arranged.resize(at + (kind > 0 ? kStep : 2 * kStep));
          if (kind > 0)
            std::memcpy(arranged.data() + at, each.steps[s].weights, kStep);
          else
            put_widened(each.steps[s].weights, arranged.data() + at);
        }
      }
    }
    if (++within == together) group += rows * steps * stride, within = 0;
  }
  weights_ = Buffer(arranged.size());
  if (!arranged.empty()) std::memcpy(weights_.data(), arranged.data(), arranged.size());
  for (size_t i = 0; i < blocks_.size(); i++) {
    blocks_[i].places = places_.data() + begins[i][0];
    blocks_[i].weights = reinterpret_cast<const int8_t*>(weights_.data()) + begins[i][1];
  }
}

}  // namespace fastnst

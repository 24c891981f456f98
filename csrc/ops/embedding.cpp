#include "ops/embedding.h"

#include "base/parallel.h"
#include "ops/panels.h"

namespace fastnst::FASTNST_VARIANT {
namespace {

// How positions are divided into tiles, whose errors stay in the second-level cache, and tiles into chunks, whose sums are
// added in order at the end. This, and so every rounding, is independent of the number of threads.
struct Plan {
  int64_t students, teachers, tile, tiles, total, chunks, chunk, columns;

  Plan(const FeatureMap& student, const FeatureMap& teacher) : students(student.channels), teachers(teacher.channels) {
    constexpr int64_t kErrors = 192 << 10, kSums = 8 << 20, kLongest = 512, kFewest = 8, kMost = 32;
    const int64_t fitting = kErrors / (most(students, teachers) * int64_t(sizeof(float))) / kPanel<float> * kPanel<float>;
    tile = most(kPanel<float>, least(least(kLongest, fitting), round_up_to(student.positions, kPanel<float>)));
    tiles = (student.positions + tile - 1) / tile;
    total = student.batch * tiles;
    columns = round_up_to(students, kPanel<float>);
    const int64_t wanted = most(kFewest, least(kMost, kSums / (teachers * columns * int64_t(sizeof(float)))));
    chunk = (total + wanted - 1) / wanted;
    chunks = (total + chunk - 1) / chunk;
  }
};

// The working memory of a thread.
struct Desk {
  Panels<float> inputs;  // [students, tile]
  Panels<float> errors;  // [teachers, tile], in rows: teacher - bias - weight student
  Panels<float> result;  // [students, tile]
  Panels<float> turned;  // [tile, students]
};

// The sums over one chunk.
struct Sums {
  double* squares;
  double* rows;          // of the errors, [teachers]
  Panels<float> weight;  // errors inputs^T, [teachers, students]
};

class Loss {
 public:
  Loss(const FeatureMap& student, const FeatureMap& teacher, const Projection& projection, void* scratch)
      : student_(student), teacher_(teacher), projection_(projection), plan_(student, teacher), scratch_(scratch) {}

  static int64_t bytes(const FeatureMap& student, const FeatureMap& teacher, bool gradients, int threads) {
    const Loss loss(student, teacher, {}, nullptr);
    return loss.plan_.chunks * loss.sums_bytes(gradients) + threads * loss.desk_bytes(gradients);
  }

  template <typename E>
  double run(const EmbeddingGradients* gradients, int threads) const {
    parallel_for(plan_.chunks, 1, threads, [&](int slot, int64_t begin, int64_t end) {
      for (int64_t chunk = begin; chunk < end; chunk++) run_chunk<E>(gradients, chunk, slot);
    });
    double squares = 0;
    for (int64_t i = 0; i < plan_.chunks; i++) squares += *sums(i, gradients != nullptr).squares;
    if (gradients != nullptr) add_chunks(*gradients, threads);
    return squares / elements();
  }

  template <typename E>
  void run_teacher(float scale, E* gradient, int threads) const {
    parallel_for(plan_.total, 1, threads, [&](int slot, int64_t begin, int64_t end) {
      const Desk mine = desk(slot, false);
      const Strides strides = strides_of(teacher_);
      for (int64_t index = begin; index < end; index++) {
        compute_errors<E>(index, mine);
        square(mine.errors, width(index), scale, nullptr);
        unpack<float>(mine.errors, plan_.teachers, width(index), nullptr, gradient + offset(strides, index), strides.channel,
                      strides.position);
      }
    });
  }

 private:
  int64_t sums_bytes(bool gradients) const {
    const int64_t weights = plan_.teachers * plan_.columns * int64_t(sizeof(float));
    const int64_t doubles = (1 + plan_.teachers) * int64_t(sizeof(double));
    return gradients ? weights + round_up_to(doubles, kBytes) : kBytes;
  }
  Sums sums(int64_t chunk, bool gradients) const {
    char* base = static_cast<char*>(scratch_) + chunk * sums_bytes(gradients);
    double* doubles = reinterpret_cast<double*>(base + (gradients ? plan_.teachers * plan_.columns * sizeof(float) : 0));
    return {doubles, doubles + 1, panel_major(reinterpret_cast<float*>(base), plan_.teachers)};
  }

  int64_t desk_bytes(bool gradients) const {
    const int64_t rows = plan_.students + plan_.teachers + (gradients ? plan_.students + plan_.columns : 0);
    return rows * plan_.tile * int64_t(sizeof(float));
  }
  Desk desk(int slot, bool gradients) const {
    char* base = static_cast<char*>(scratch_) + plan_.chunks * sums_bytes(gradients) + slot * desk_bytes(gradients);
    float* data = reinterpret_cast<float*>(base);
    const int64_t inputs = plan_.students * plan_.tile, errors = plan_.teachers * plan_.tile;
    return {panel_major(data, plan_.students), row_major(data + inputs, plan_.tile),
            panel_major(data + inputs + errors, plan_.students), panel_major(data + 2 * inputs + errors, plan_.tile)};
  }

  double elements() const { return double(teacher_.batch) * double(teacher_.channels) * double(teacher_.positions); }
  int64_t width(int64_t index) const { return least(plan_.tile, student_.positions - index % plan_.tiles * plan_.tile); }
  int64_t offset(const Strides& strides, int64_t index) const {
    return index / plan_.tiles * strides.image + index % plan_.tiles * plan_.tile * strides.position;
  }
  Panels<float> weight() const { return row_major(const_cast<float*>(projection_.negative_weight), projection_.pitch); }

  template <typename E>
  void compute_errors(int64_t index, const Desk& desk) const {
    const Strides from = strides_of(student_), to = strides_of(teacher_);
    const E* student = static_cast<const E*>(student_.data) + offset(from, index);
    const E* teacher = static_cast<const E*>(teacher_.data) + offset(to, index);
    pack(student, from.channel, from.position, plan_.students, width(index), Shift<float>{}, desk.inputs);
    pack(teacher, to.channel, to.position, plan_.teachers, width(index), Shift<float>{projection_.bias, nullptr}, desk.errors);
    add_product(plan_.teachers, width(index), plan_.students, as_left(weight()), desk.inputs, desk.errors);
  }

  // The sum of the squares of the errors, which are then multiplied by `scale` and summed in each row.
  double square(const Panels<float>& errors, int64_t width, float scale, double* rows) const {
    double squares = 0;
    for (int64_t i = 0; i < plan_.teachers; i++) {
      Floats square = {}, row = {};
      for (int64_t j = 0; j < width; j += kFloats) {
        float* p = errors.data + i * errors.row + j;
        const Floats error = first(load(p), width - j), scaled = error * scale;
        square += error * error;
        row += scaled;
        store(p, scaled);
      }
      squares += double(sum(square));
      if (rows != nullptr) rows[i] += double(sum(row));
    }
    return squares;
  }

  template <typename E>
  void run_chunk(const EmbeddingGradients* gradients, int64_t chunk, int slot) const {
    const bool all = gradients != nullptr;
    const Sums total = sums(chunk, all);
    const Desk mine = desk(slot, all);
    const Strides strides = strides_of(student_);
    std::memset(static_cast<char*>(scratch_) + chunk * sums_bytes(all), 0, size_t(sums_bytes(all)));
    for (int64_t index = chunk * plan_.chunk; index < least((chunk + 1) * plan_.chunk, plan_.total); index++) {
      compute_errors<E>(index, mine);
      *total.squares += square(mine.errors, width(index), float(2 / elements()), all ? total.rows : nullptr);
      if (!all) continue;

      // The negative signs of the weight and of the error cancel here.
      std::memset(mine.result.data, 0, sizeof(float) * size_t(plan_.students * plan_.tile));
      add_product(plan_.students, width(index), plan_.teachers, transposed(weight()), mine.errors, mine.result);
      E* gradient = static_cast<E*>(gradients->student) + offset(strides, index);
      unpack<float>(mine.result, plan_.students, width(index), nullptr, gradient, strides.channel, strides.position);

      const E* student = static_cast<const E*>(student_.data) + offset(strides, index);
      pack(student, strides.position, strides.channel, width(index), plan_.students, Shift<float>{}, mine.turned);
      add_product(plan_.teachers, plan_.students, width(index), as_left(mine.errors), mine.turned, total.weight);
    }
  }

  // The sign of the error is restored here.
  void add_chunks(const EmbeddingGradients& gradients, int threads) const {
    parallel_for(plan_.teachers, 8, threads, [&](int, int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; i++) {
        double row = 0;
        for (int64_t chunk = 0; chunk < plan_.chunks; chunk++) row -= sums(chunk, true).rows[i];
        gradients.bias[i] = float(row);
        for (int64_t j = 0; j < plan_.students; j += kPanel<float>) {
          double totals[kPanel<float>] = {};
          for (int64_t chunk = 0; chunk < plan_.chunks; chunk++) {
            const Panels<float> weight = sums(chunk, true).weight;
            const float* p = weight.data + j / kPanel<float> * weight.panel + i * weight.row;
            for (int64_t c = 0; c < kPanel<float>; c++) totals[c] -= double(p[c]);
          }
          for (int64_t c = 0; c < least(kPanel<float>, plan_.students - j); c++)
            gradients.weight[i * plan_.students + j + c] = float(totals[c]);
        }
      }
    });
  }

  const FeatureMap& student_;
  const FeatureMap& teacher_;
  const Projection projection_;
  const Plan plan_;
  void* const scratch_;
};

double loss(const FeatureMap& student, const FeatureMap& teacher, const Projection& projection,
            const EmbeddingGradients* gradients, void* scratch, int threads) {
  double value = 0;
  with_element(student.element,
               [&](auto type) { value = Loss(student, teacher, projection, scratch).run<decltype(type)>(gradients, threads); });
  return value;
}

void teacher_gradient(const FeatureMap& student, const FeatureMap& teacher, const Projection& projection, float scale,
                      void* gradient, void* scratch, int threads) {
  with_element(student.element, [&](auto type) {
    using E = decltype(type);
    Loss(student, teacher, projection, scratch).run_teacher(scale, static_cast<E*>(gradient), threads);
  });
}

}  // namespace

extern const EmbeddingOps embedding;
const EmbeddingOps embedding = {Loss::bytes, loss, teacher_gradient};

}  // namespace fastnst::FASTNST_VARIANT

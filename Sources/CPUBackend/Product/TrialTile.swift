import CProcessor

#if AVX512
  /// One tile multiplied in both forms that products in bfloat16 can have, when a program starts.
  struct TrialTile {
    /// Terms of a sum.
    private static let k = 256
    private static let (rows, columns) = (MicroKernel.tileRows, MicroKernel.tileColumns)

    private let form: ProductForm
    private let a: [Float]
    private let b: [Float]
    private var c = [Float](repeating: 0, count: rows * columns)

    /// Packs sums that lose digits at every term and some that are subnormal.
    private init(_ form: ProductForm) {
      self.form = form
      a = Self.panels(Self.rows / MicroKernel.rows, width: MicroKernel.rows, seed: 1, form)
      b = Self.panels(Self.columns / MicroKernel.columns, width: MicroKernel.columns, seed: 2, form)
    }

    private static func panels(
      _ count: Int, width: Int, seed: UInt32, _ form: ProductForm
    ) -> [Float] {
      var state = seed
      let numbers = (0..<count * k * width).map { index in
        state = state &* 1_664_525 &+ 1_013_904_223
        let mantissa = Float(Int32(bitPattern: state) >> 8) * 0x1p-23
        return mantissa * (index % 7 == 0 ? 0x1p-70 : index % 5 == 0 ? 0x1p6 : 1)
      }
      var panels = [Float](repeating: 0, count: count * form.steps(k) * width + 2)
      numbers.withUnsafeBufferPointer { numbers in
        panels.withUnsafeMutableBufferPointer { panels in
          guard let from = numbers.baseAddress, let to = panels.baseAddress else { return }
          for panel in 0..<count {
            packPanelDown(
              from + panel * k * width, stride: width, rows: k, count: width, width: width,
              form: form, into: to + panel * form.steps(k) * width)
          }
        }
      }
      return panels
    }

    private mutating func multiply() {
      let before = cp_flush_subnormals()
      a.withUnsafeBufferPointer { a in
        b.withUnsafeBufferPointer { b in
          c.withUnsafeMutableBufferPointer { c in
            guard let a = a.baseAddress, let b = b.baseAddress, let c = c.baseAddress else {
              return
            }
            MicroKernel.multiply(
              c, stride: Self.columns, a: a, b: b, k: form.steps(Self.k), rows: Self.rows,
              columns: Self.columns, accumulate: false, form: form)
          }
        }
      }
      cp_keep_subnormals(before)
    }

    /// Whether the instruction on pairs does what it is said to do.
    static func pairsHaveTheBitsOfRounded() -> Bool {
      let results = [ProductForm.pairs, .rounded].map { form in
        var tile = TrialTile(form)
        tile.multiply()
        return tile.c.map(\.bitPattern)
      }
      return results[0] == results[1]
    }

    /// Whether a product of pairs is faster than one of rounded floats, each by the best of some tries in turn
    /// (about a hundred microseconds in all); no bit depends on it.
    static func pairsSaveTime() -> Bool {
      var tiles = [TrialTile(.pairs), TrialTile(.rounded)]
      var best = [Duration](repeating: .seconds(1), count: 2)
      let clock = ContinuousClock()
      for _ in 0..<12 {
        for index in tiles.indices {
          best[index] = min(best[index], clock.measure { tiles[index].multiply() })
        }
      }
      return best[0] < best[1]
    }
  }
#endif

package import Deterministic
import Host
package import Tensor

/// Dropout (Srivastava et al., 2014), in place, with a mask that is computed and never stored.
///
/// Element (row, column) of a stream is kept or not by a pure function of the stream's key, the
/// absolute row and the column; the backward pass is the same call on the gradient.
extension CPUKernels {
  /// Zeroes each element of `x [N, C]` with the given probability, divides the rest by its rest.
  package func dropout(x: View, probability: Float, random: CounterRandom, rowOffset: Int) {
    precondition(
      probability >= 0 && probability < 1, "dropout probability \(probability) is not in [0, 1)")
    guard probability > 0 else { return }
    // 24 bits of each hash are compared, so signed comparison, which AVX2 has, is enough.
    let threshold = WideIntLanes(repeating: Int32((probability * 0x1p24).rounded()))
    let scale = WideLanes(repeating: 1 / (1 - probability))
    parallelFor(x.rows, grain: rowGrain(columns: x.columns)) { range in
      let columns = x.columns
      let whole = columns & ~15
      let rest = columns - whole
      for n in range {
        let rowKey = random.bits(UInt64(truncatingIfNeeded: rowOffset + n))
        let row = x.base + n * x.stride
        var index = 0
        while index < whole {
          let hash = dropoutHash(rowKey: rowKey, firstColumn: UInt32(truncatingIfNeeded: index))
          let value = loadWide(row + index) * scale
          store(value.replacing(with: 0, where: hash .< threshold), row + index)
          index += 16
        }
        if rest > 0 {
          let hash = dropoutHash(rowKey: rowKey, firstColumn: UInt32(truncatingIfNeeded: whole))
          let value = load(row + whole, first: rest) * scale
          store(value.replacing(with: 0, where: hash .< threshold), row + whole, first: rest)
        }
      }
    }
  }
}

/// Sixteen 24-bit hashes, of the columns from `firstColumn` on in the row named by `rowKey`.
///
/// The finaliser of MurmurHash3 (Appleby, 2011) over a Weyl sequence started by half of the row's
/// key; the other half enters between the two multiplications, so that two rows whose sequences
/// meet still part.
@inline(__always)
private func dropoutHash(rowKey: UInt64, firstColumn: UInt32) -> WideIntLanes {
  let lane = SIMD16<UInt32>(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15)
  let start = UInt32(truncatingIfNeeded: rowKey)
  let twist = UInt32(truncatingIfNeeded: rowKey >> 32)
  var h = (lane &+ firstColumn) &* 0x9E37_79B1 &+ start
  h = (h ^ (h &>> 16)) &* 0x85EB_CA6B
  h = h ^ twist
  h = (h ^ (h &>> 13)) &* 0xC2B2_AE35
  h = h ^ (h &>> 16)
  return unsafeBitCast(h &>> 8, to: WideIntLanes.self)
}

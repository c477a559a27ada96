import Tensor

/// Transposes eight vectors by 24 shuffles; inlined so that nothing goes through memory.
@inline(__always)
func transposeEight(
  _ r0: Lanes, _ r1: Lanes, _ r2: Lanes, _ r3: Lanes, _ r4: Lanes, _ r5: Lanes, _ r6: Lanes,
  _ r7: Lanes
) -> (Lanes, Lanes, Lanes, Lanes, Lanes, Lanes, Lanes, Lanes) {
  let (a0, a1) = (interleaveLow(r0, r1), interleaveHigh(r0, r1))
  let (a2, a3) = (interleaveLow(r2, r3), interleaveHigh(r2, r3))
  let (a4, a5) = (interleaveLow(r4, r5), interleaveHigh(r4, r5))
  let (a6, a7) = (interleaveLow(r6, r7), interleaveHigh(r6, r7))
  let (b0, b1) = (pairLow(a0, a2), pairHigh(a0, a2))
  let (b2, b3) = (pairLow(a1, a3), pairHigh(a1, a3))
  let (b4, b5) = (pairLow(a4, a6), pairHigh(a4, a6))
  let (b6, b7) = (pairLow(a5, a7), pairHigh(a5, a7))
  return (
    Lanes(lowHalf: b0.lowHalf, highHalf: b4.lowHalf),
    Lanes(lowHalf: b1.lowHalf, highHalf: b5.lowHalf),
    Lanes(lowHalf: b2.lowHalf, highHalf: b6.lowHalf),
    Lanes(lowHalf: b3.lowHalf, highHalf: b7.lowHalf),
    Lanes(lowHalf: b0.highHalf, highHalf: b4.highHalf),
    Lanes(lowHalf: b1.highHalf, highHalf: b5.highHalf),
    Lanes(lowHalf: b2.highHalf, highHalf: b6.highHalf),
    Lanes(lowHalf: b3.highHalf, highHalf: b7.highHalf)
  )
}

@inline(__always)
private func interleaveLow(_ a: Lanes, _ b: Lanes) -> Lanes {
  Lanes(a[0], b[0], a[1], b[1], a[4], b[4], a[5], b[5])
}

@inline(__always)
private func interleaveHigh(_ a: Lanes, _ b: Lanes) -> Lanes {
  Lanes(a[2], b[2], a[3], b[3], a[6], b[6], a[7], b[7])
}

@inline(__always)
private func pairLow(_ a: Lanes, _ b: Lanes) -> Lanes {
  Lanes(a[0], a[1], b[0], b[1], a[4], a[5], b[4], b[5])
}

@inline(__always)
private func pairHigh(_ a: Lanes, _ b: Lanes) -> Lanes {
  Lanes(a[2], a[3], b[2], b[3], a[6], a[7], b[6], b[7])
}

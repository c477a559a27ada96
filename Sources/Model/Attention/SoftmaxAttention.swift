package import Tensor

/// Full causal softmax attention; its cache is every key and value so far.
package struct SoftmaxAttention: AttentionMechanism {
  let heads: Int
  let headWidth: Int
  let scale: Float
  package let biasLength: Int?

  init(_ config: ModelConfig) {
    heads = config.heads
    headWidth = config.headWidth
    scale = config.attentionScale
    biasLength = config.position == .relativeBias ? config.relativeBiasLength : nil
  }

  package func forward(_ t: AttentionTensors, starts: [Int], kernels: any Kernels) {
    kernels.softmaxAttentionForward(
      o: t.o, lse: t.lse, q: t.q, k: t.k, v: t.v, bias: t.bias, starts: starts, heads: heads,
      scale: scale)
  }

  package func backward(
    _ t: AttentionTensors, _ d: AttentionGradients, starts: [Int], kernels: any Kernels
  ) {
    kernels.softmaxAttentionBackward(
      dq: d.dq, dk: d.dk, dv: d.dv, dBias: d.dBias, dO: d.dO, o: t.o, lse: t.lse, q: t.q, k: t.k,
      v: t.v, bias: t.bias, starts: starts, heads: heads, scale: scale)
  }

  package func makeCache() -> any AttentionCache {
    SoftmaxCache(self)
  }

  package func scoredPairs(length: Int) -> Double {
    Double(length) * Double(length + 1) / 2
  }
}

/// Keys and values of one stream, `[length, C]` each, doubled in capacity when full.
final class SoftmaxCache: AttentionCache {
  private let attention: SoftmaxAttention
  private var length = 0
  private var keys: View  // [capacity, C]
  private var values: View  // [capacity, C]

  init(_ attention: SoftmaxAttention, capacity: Int = 64) {
    self.attention = attention
    let width = attention.heads * attention.headWidth
    keys = View(rows: capacity, columns: width)
    values = View(rows: capacity, columns: width)
  }

  var bytes: Int { (keys.count + values.count) * MemoryLayout<Float>.stride }

  func step(o: View, q: View, k: View, v: View, bias: View?, kernels: any Kernels) {
    if length == keys.rows { grow(to: 2 * length) }
    keys.rows(length..<length + 1).copy(from: k)
    values.rows(length..<length + 1).copy(from: v)
    length += 1
    kernels.softmaxAttentionDecode(
      o: o, q: q, keys: keys, values: values, bias: bias, length: length, heads: attention.heads,
      scale: attention.scale)
  }

  func copy() -> any AttentionCache {
    let other = SoftmaxCache(attention, capacity: keys.rows)
    other.keys.rows(0..<length).copy(from: keys.rows(0..<length))
    other.values.rows(0..<length).copy(from: values.rows(0..<length))
    other.length = length
    return other
  }

  private func grow(to capacity: Int) {
    let old = (keys, values)
    keys = View(rows: capacity, columns: old.0.columns)
    values = View(rows: capacity, columns: old.1.columns)
    keys.rows(0..<length).copy(from: old.0.rows(0..<length))
    values.rows(0..<length).copy(from: old.1.rows(0..<length))
  }
}

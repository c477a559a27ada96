package import Tensor

/// Full causal softmax attention has no options; its bias table is any length.
package struct SoftmaxOptions: AttentionOptions {
  package static let kind = AttentionKind.softmax

  package init() {}

  package var defaultPosition: Position { .rotary }

  package func validate(_ model: ModelConfig) {}

  package func mechanism(_ model: ModelConfig) -> any AttentionMechanism {
    SoftmaxAttention(model)
  }
}

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

  /// The natural log of every softmax denominator.
  package var savedRows: Int { heads }

  package func forward(_ t: AttentionTensors, _ pass: AttentionPass, kernels: any Kernels) {
    kernels.supporting((any SoftmaxAttentionKernels).self).softmaxAttentionForward(
      o: t.o, lse: t.saved, q: t.q, k: t.k, v: t.v, bias: t.bias, starts: pass.starts,
      heads: heads, scale: scale)
  }

  package func backward(
    _ t: AttentionTensors, _ d: AttentionGradients, _ pass: AttentionPass, kernels: any Kernels
  ) {
    kernels.supporting((any SoftmaxAttentionKernels).self).softmaxAttentionBackward(
      dq: d.dq, dk: d.dk, dv: d.dv, dBias: d.dBias, dO: d.dO, o: t.o, lse: t.saved, q: t.q,
      k: t.k, v: t.v, bias: t.bias, starts: pass.starts, heads: heads, scale: scale)
  }

  package func makeCache(
    layer: Int, draw: AttentionDraw, kernels: any Kernels
  ) -> any AttentionCache {
    SoftmaxCache(self, kernels.supporting((any SoftmaxAttentionKernels).self))
  }

  package func work(length: Int) -> AttentionWork {
    AttentionWork(pairs: Double(length) * Double(length + 1) / 2, width: heads * headWidth)
  }
}

/// Keys and values of one stream, `[length, C]` each, doubled in capacity when full.
final class SoftmaxCache: AttentionCache {
  private let attention: SoftmaxAttention
  private let kernels: any SoftmaxAttentionKernels
  private var length = 0
  private var keys: View  // [capacity, C]
  private var values: View  // [capacity, C]

  init(
    _ attention: SoftmaxAttention, _ kernels: any SoftmaxAttentionKernels, capacity: Int = 64
  ) {
    self.attention = attention
    self.kernels = kernels
    let width = attention.heads * attention.headWidth
    keys = View(rows: capacity, columns: width)
    values = View(rows: capacity, columns: width)
  }

  var bytes: Int { (keys.count + values.count) * MemoryLayout<Float>.stride }

  func step(_ t: AttentionTensors) {
    if length == keys.rows { grow(to: 2 * length) }
    keys.rows(length..<length + 1).copy(from: t.k)
    values.rows(length..<length + 1).copy(from: t.v)
    length += 1
    kernels.softmaxAttentionDecode(
      o: t.o, q: t.q, keys: keys, values: values, bias: t.bias, length: length,
      heads: attention.heads, scale: attention.scale)
  }

  func copy() -> any AttentionCache {
    let other = SoftmaxCache(attention, kernels, capacity: keys.rows)
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

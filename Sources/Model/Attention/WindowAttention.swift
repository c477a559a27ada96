import Foundation
import Tensor

/// Options of sliding-window attention, the worked example of `docs/adding-an-attention.md`.
package struct WindowOptions: AttentionOptions {
  package static let kind = AttentionKind.window
  package static let help = [
    (key: "window", meaning: "positions seen (64); worked example in plain loops, slow")
  ]

  package var window = 64

  package init() {}

  package init(from decoder: any Decoder) throws {
    let fields = try decoder.container(keyedBy: CodingKeys.self)
    window = try fields.decodeIfPresent(Int.self, forKey: .window) ?? window
  }

  package var defaultPosition: Position { .rotary }

  package func validate(_ model: ModelConfig) throws(ModelError) {
    guard (1...1 << 16).contains(window), model.position != .relativeBias else {
      throw .invalid(
        "window attention takes window=1 to \(1 << 16) and no relative bias, found window="
          + "\(window) and --position \(model.position.rawValue)")
    }
  }

  package func mechanism(_ model: ModelConfig) -> any AttentionMechanism {
    WindowAttention(model: model, window: window)
  }
}

/// Softmax attention of every position to itself and the `window - 1` positions before it.
struct WindowAttention: AttentionMechanism {
  let model: ModelConfig
  let window: Int

  func work(length: Int) -> AttentionWork {
    // The first positions have fewer before them.
    let first = Double(min(length, window))
    let pairs = first * (first + 1) / 2 + (Double(length) - first) * Double(window)
    return AttentionWork(pairs: pairs, width: model.attentionWidth)
  }

  func makeOperator(on kernels: any Kernels) -> any AttentionOperator {
    WindowOperator(device: kernels, model: model, window: window)
  }
}

/// One head of one sequence at a time, in arrays that are read from the device and written back.
///
///     o_i = Σ_j p_ij v_j        p_ij = softmax_j(<q_i, k_j> / √D)        i - window < j <= i
private struct WindowOperator: AttentionOperator {
  let device: any Device
  let model: ModelConfig
  let window: Int

  func forward(_ t: AttentionTensors, _ pass: AttentionPass) {
    forEachHead(t, pass.sequences.starts) { q, k, v, cut, _ throws(DeviceError) in
      try write(q.indices.map { attend(q[$0], k[...$0], v[...$0]).o }, to: cut(t.o))
    }
  }

  func backward(_ t: AttentionTensors, _ d: AttentionGradients, _ pass: AttentionPass) {
    forEachHead(t, pass.sequences.starts) { q, k, v, cut, _ throws(DeviceError) in
      let dO = try read(cut(d.dO))
      let zeros = q.map { $0.map { _ in 0.0 } }
      var (dq, dk, dv) = (zeros, zeros, zeros)
      for i in q.indices {
        let (o, p) = attend(q[i], k[...i], v[...i])
        let mean = dot(dO[i], o)
        for (p, j) in zip(p, k.indices[...i].suffix(window)) {
          let dLogit = Double(model.attentionScale) * p * (dot(dO[i], v[j]) - mean)
          add(dLogit, k[j], to: &dq[i])
          add(dLogit, q[i], to: &dk[j])
          add(p, dO[i], to: &dv[j])
        }
      }
      for (x, view) in [(dq, d.dq), (dk, d.dk), (dv, d.dv)] { try write(x, to: cut(view)) }
    }
  }

  func makeState(_ widths: HeadWidths, layer: Int, draw: AttentionDraw) -> any AttentionState {
    WindowState(past: Array(repeating: (k: [], v: []), count: model.heads))
  }

  func step(_ t: AttentionTensors, _ states: [any AttentionState]) {
    for row in 0..<t.q.rows {
      guard let state = states[states.count == 1 ? 0 : row] as? WindowState else {
        preconditionFailure("a state of another attention")
      }
      forEachHead(t, [row, row + 1]) { q, k, v, cut, head throws(DeviceError) in
        let past = state.past[head]
        state.past[head] = ((past.k + k).suffix(window), (past.v + v).suffix(window))
        try write([attend(q[0], state.past[head].k, state.past[head].v).o], to: cut(t.o))
      }
    }
  }

  /// Output and weights of one query; decoding adds in the same order and gives the same bits.
  private func attend(_ q: Row, _ k: ArraySlice<Row>, _ v: ArraySlice<Row>) -> (o: Row, p: Row) {
    let logits = k.suffix(window).map { Double(model.attentionScale) * dot(q, $0) }
    let largest = logits.max() ?? 0
    let powers = logits.map { exp($0 - largest) }
    let sum = powers.reduce(0, +)
    let p = powers.map { $0 / sum }
    var o = q.map { _ in 0.0 }
    for (p, v) in zip(p, v.suffix(window)) { add(p, v, to: &o) }
    return (o, p)
  }

  private func forEachHead(
    _ t: AttentionTensors, _ starts: [Int],
    _ body: ([Row], [Row], [Row], _ cut: (View) -> View, _ head: Int) throws(DeviceError) -> Void
  ) {
    for (start, end) in zip(starts, starts.dropFirst()) where start < end {
      for head in 0..<model.heads {
        func cut(_ view: View) -> View { view.rows(start..<end).head(head, of: model.heads) }
        do throws(DeviceError) {
          try body(read(cut(t.q)), read(cut(t.k)), read(cut(t.v)), cut, head)
        } catch { error.endProgram() }
      }
    }
  }

  private func read(_ view: View) throws(DeviceError) -> [Row] {
    let numbers = try device.numbers(of: view).map { Double($0) }
    return (0..<view.rows).map { Array(numbers[$0 * view.columns..<($0 + 1) * view.columns]) }
  }

  private func write(_ rows: [Row], to view: View) throws(DeviceError) {
    try device.write(rows.joined().map { Float($0) }, to: view)
  }
}

/// Keys and values of the last positions of a stream, head by head.
private final class WindowState: AttentionState {
  var past: [(k: ArraySlice<Row>, v: ArraySlice<Row>)]

  init(past: [(k: ArraySlice<Row>, v: ArraySlice<Row>)]) { self.past = past }
  func copy() -> any AttentionState { WindowState(past: past) }
  var bytes: Int { past.reduce(0) { $0 + 8 * ($1.k + $1.v).joined().count } }
}

private typealias Row = [Double]
private func dot(_ a: Row, _ b: Row) -> Double { zip(a, b).reduce(0) { $0 + $1.0 * $1.1 } }
private func add(_ a: Double, _ x: Row, to y: inout Row) { for i in y.indices { y[i] += a * x[i] } }

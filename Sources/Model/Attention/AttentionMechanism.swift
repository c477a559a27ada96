package import Tensor

/// What one attention is, apart from any device: its weights, what it keeps and what it costs; and which
/// kernels compute it.
package protocol AttentionMechanism: Sendable {
  /// Distances of the learned bias table, or nil if there is none.
  var biasLength: Int? { get }

  /// Weights of its own, beyond queries, keys, values, output and bias.
  var ownWeights: [AttentionWeight] { get }

  /// Whether it reads the layer's input beside queries, keys and values.
  var readsInput: Bool { get }

  /// Whether a stream keeps keys and values once for all heads of queries that share them, so that its
  /// steps take `[N, K·D]`; else they are repeated for it as for a pass.
  var streamsAreGrouped: Bool { get }

  /// Floats per position that the forward pass keeps for the backward pass.
  var savedRows: Int { get }

  /// Random numbers that a layer draws for a step and keeps until the next.
  var drawnNumbers: Int { get }

  /// The attention on a device.
  ///
  /// - Throws: `DeviceError.unsupported` if the device has no such attention, or has no memory for
  ///   what it holds.
  func makeOperator(on kernels: any Kernels) throws(DeviceError) -> any AttentionOperator

  /// Work of one layer on one sequence of `length` positions, all heads.
  func work(length: Int) -> AttentionWork
}

extension AttentionMechanism {
  package var biasLength: Int? { nil }
  package var ownWeights: [AttentionWeight] { [] }
  package var readsInput: Bool { false }
  package var streamsAreGrouped: Bool { false }
  package var savedRows: Int { 0 }
  package var drawnNumbers: Int { 0 }
}

/// A weight that only one attention has.
package struct AttentionWeight: Sendable {
  /// Name after `self_attn.`.
  package let name: String
  package let rows: Int
  package let columns: Int
  package let role: ParameterRole
  /// Standard deviation of the initial values; nil for gains, which start at 1.
  package let deviation: Double?

  package init(
    name: String, role: ParameterRole = .hidden, rows: Int, columns: Int, deviation: Double?
  ) {
    self.name = name
    self.rows = rows
    self.columns = columns
    self.role = role
    self.deviation = deviation
  }
}

/// Floating-point operations, a multiply and an add counted as two, causal pairs once.
package struct AttentionWork: Sendable, Equatable {
  package var forward: Double
  /// Forward and backward, with what the backward pass computes again.
  package var training: Double

  package init(forward: Double, training: Double) {
    self.forward = forward
    self.training = training
  }

  /// Attention by scored pairs: scores and weighted sum forward; scores again and four products
  /// backward.
  package init(pairs: Double, width: Int) {
    self.init(forward: 4 * Double(width) * pairs, training: 14 * Double(width) * pairs)
  }
}

extension Kernels {
  /// The kernels of one attention, which a back end may leave out.
  ///
  /// - Parameters:
  ///   - attention: The protocol that has them.
  ///   - name: Of the attention, for the error.
  func supporting<Attention>(
    _ attention: Attention.Type, _ name: AttentionKind
  ) throws(DeviceError) -> Attention {
    guard let kernels = self as? Attention else {
      throw .unsupported(device: self.name, what: "\(name.rawValue) attention")
    }
    return kernels
  }
}

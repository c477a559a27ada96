package import Model
package import Tensor

/// What moves the hidden matrices; embeddings, head, gains and bias tables always take AdamW.
package enum OptimizerKind: String, Codable, Sendable, CaseIterable {
  case adamW
  case muon
}

/// AdamW, or Muon with AdamW, under one rate or several in one proportion.
package struct OptimizerConfig: Codable, Sendable, Equatable {
  package var kind = OptimizerKind.adamW
  /// Peak learning rate.
  package var rate = 1e-3
  /// Peak learning rate of embeddings and head; nil for `rate`.
  package var embeddingRate: Double?
  /// Peak learning rate of hidden matrices; nil for `rate`.
  package var matrixRate: Double?
  /// Constant rate of the rows of n-grams, the size of a row's first step; nil for
  /// `defaultNgramRate`.
  package var ngramRate: Double?
  package var beta1 = 0.9
  package var beta2 = 0.95
  package var epsilon = 1e-8
  /// Muon's momentum.
  package var momentum = 0.95
  /// How Muon makes its updates orthogonal; nil for the standard form.
  package var muonForm: MuonForm?
  /// Decay of matrices; gains and bias tables have none.
  package var weightDecay = 0.1
  /// Largest norm of the whole gradient; 0 leaves it alone.
  package var clipNorm = 1.0
  /// Whether the embeddings, and a head that shares them, stay as they were; nil for no.
  package var freezesEmbedding: Bool?

  package static let defaultNgramRate = 0.02

  package init() {}

  /// Whether a weight stays as it was.
  package func freezes(_ slot: ParameterSlot) -> Bool {
    freezesEmbedding == true && slot.offset == 0
  }

  /// What moves a weight.
  package func kind(of slot: ParameterSlot) -> OptimizerKind {
    slot.role == .hidden ? kind : .adamW
  }

  /// The learning rate of a weight where that of all others is `rate`.
  package func rate(of slot: ParameterSlot, where rate: Double) -> Double {
    let peak: Double? =
      switch slot.role {
      case .table: embeddingRate
      case .hidden: matrixRate
      case .bias, .vector: nil
      }
    return peak.map { rate * ($0 / self.rate) } ?? rate
  }
}

extension OptimizerConfig {
  /// As written by this and by earlier versions, which had AdamW alone, and then one rate.
  package init(from decoder: any Decoder) throws {
    let fields = try decoder.container(keyedBy: CodingKeys.self)
    kind = try fields.decodeIfPresent(OptimizerKind.self, forKey: .kind) ?? .adamW
    rate = try fields.decode(Double.self, forKey: .rate)
    embeddingRate = try fields.decodeIfPresent(Double.self, forKey: .embeddingRate)
    matrixRate = try fields.decodeIfPresent(Double.self, forKey: .matrixRate)
    ngramRate = try fields.decodeIfPresent(Double.self, forKey: .ngramRate)
    muonForm = try fields.decodeIfPresent(MuonForm.self, forKey: .muonForm)
    beta1 = try fields.decode(Double.self, forKey: .beta1)
    beta2 = try fields.decode(Double.self, forKey: .beta2)
    epsilon = try fields.decode(Double.self, forKey: .epsilon)
    momentum = try fields.decodeIfPresent(Double.self, forKey: .momentum) ?? 0.95
    weightDecay = try fields.decode(Double.self, forKey: .weightDecay)
    clipNorm = try fields.decode(Double.self, forKey: .clipNorm)
    freezesEmbedding = try fields.decodeIfPresent(Bool.self, forKey: .freezesEmbedding)
  }
}

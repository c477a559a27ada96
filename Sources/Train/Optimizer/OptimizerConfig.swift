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

  /// What rates and epsilon may be; 1e6 for both is plain gradient descent.
  ///
  /// Weights are moved in single precision, where a rate of 1e39 is infinite and one of 1e-50 is 0.
  package static let rates = 1e-30...1e6
  /// What the decay of matrices may be.
  package static let decays = 0.0...1e3

  /// Throws the first number that could not move weights, or would move them to infinity.
  package func validate() throws(TrainingError) {
    let factors: [(name: String, value: Double?)] = [
      ("rate", rate), ("embeddingRate", embeddingRate), ("matrixRate", matrixRate),
      ("ngramRate", ngramRate), ("epsilon", epsilon),
    ]
    for (name, value) in factors {
      guard let value, !Self.rates.contains(value) else { continue }
      throw .invalid("\(name) is \(value), expected 1e-30 to 1,000,000")
    }
    guard Self.decays.contains(weightDecay) else {
      throw .invalid("weightDecay is \(weightDecay), expected 0 to 1,000")
    }
    for (name, share) in [("beta1", beta1), ("beta2", beta2), ("momentum", momentum)] {
      // A share that rounds to 1 would divide the first step by 0.
      guard share >= 0, Float(share) < 1 else {
        throw .invalid(
          "\(name) is \(share), expected 0 or more and less than 1 in single precision")
      }
    }
    guard clipNorm >= 0, clipNorm.isFinite else {
      throw .invalid("clipNorm is \(clipNorm), expected 0 or more")
    }
    guard muonForm == nil || kind == .muon else {
      throw .invalid(
        "muonForm goes with the optimizer muon, found \(kind.rawValue); leave out --muon-form, or give "
          + "--optimizer muon")
    }
  }

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

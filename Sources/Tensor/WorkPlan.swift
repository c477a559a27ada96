/// What a piece of work borrows while it runs, in numbers.
package struct WorkingNeed: Sendable, Equatable {
  /// Of one task: every thread has as much.
  package var task = 0
  /// Of what tasks share: held by the caller while they run.
  package var shared = 0

  package init(task: Int = 0, shared: Int = 0) {
    self.task = task
    self.shared = shared
  }

  /// Of two that take turns.
  package func joined(_ other: WorkingNeed) -> WorkingNeed {
    WorkingNeed(task: max(task, other.task), shared: max(shared, other.shared))
  }
}

/// What a model asks of its kernels in a training step or in scoring, to plan their memory.
package struct WorkPlan: Sendable {
  /// A weight matrix `[outputs, inputs]` that multiplies every position.
  package struct Product: Sendable {
    package let outputs: Int
    package let inputs: Int

    package init(outputs: Int, inputs: Int) {
      self.outputs = outputs
      self.inputs = inputs
    }
  }

  /// Rows of the largest batch of a step, N.
  package let positions: Int
  /// Rows of the largest batch that is scored.
  package let scored: Int
  /// Model width, C.
  package let width: Int
  /// Rows of the head, V.
  package let vocabulary: Int
  /// Rows of the head that a step of sampled softmax gathers, at most; 0 without it.
  package let candidates: Int
  package let products: [Product]
  /// Shapes of the matrices that Muon moves.
  package let muon: [(rows: Int, columns: Int)]
  package let muonForm: MuonForm
  /// What one layer's attention borrows.
  package let attention: WorkingNeed
  /// Heads times sequences of a batch, at most: no more tasks of an attention run at once.
  package let attentionTasks: Int
  /// Layers of the model.
  package let layers: Int
  /// Random numbers that the attention of a layer keeps for a step.
  package let drawn: Int

  package init(
    positions: Int, scored: Int? = nil, width: Int, vocabulary: Int, candidates: Int = 0,
    products: [Product],
    muon: [(rows: Int, columns: Int)], muonForm: MuonForm = .standard, attention: WorkingNeed,
    attentionTasks: Int, layers: Int = 0, drawn: Int = 0
  ) {
    self.positions = positions
    self.scored = scored ?? positions
    self.width = width
    self.vocabulary = vocabulary
    self.candidates = candidates
    self.products = products
    self.muon = muon
    self.muonForm = muonForm
    self.attention = attention
    self.attentionTasks = attentionTasks
    self.layers = layers
    self.drawn = drawn
  }
}

import Model

/// A named run: everything but the vocabulary, which the data decides.
package struct Preset: Sendable {
  package let name: String
  /// One line for `--list-presets`.
  package let summary: String
  /// Tokens of the recipe's own vocabulary, for a plan without data.
  package var vocabularySize = 32_000
  private let make: @Sendable (Int) -> RunConfig

  /// The run for a vocabulary of that many tokens.
  package func config(vocabularySize: Int) -> RunConfig { make(vocabularySize) }

  /// The preset of that name.
  package static func named(_ name: String) throws(TrainingError) -> Preset {
    guard let preset = all.first(where: { $0.name == name }) else {
      throw .invalid(
        "there is no preset \"\(name)\"; choose one of "
          + all.map(\.name).joined(separator: ", "))
    }
    return preset
  }

  package static let all = [
    quickstart, compare, news, newsPlain, flaxLM1B, t2t50M, h1d53M, h1d53MFast, h1d144M,
  ]

  /// Minutes on two cores: the main job on a small book.
  package static let quickstart = Preset(
    name: "quickstart", summary: "2 M parameters, minutes on two cores, for a few MB of text",
    vocabularySize: 4_000
  ) { vocabulary in
    let model = ModelConfig(
      vocabularySize: vocabulary, width: 192, layers: 4, heads: 4, hidden: 512)
    var run = RunConfig(
      preset: "quickstart", model: model, steps: 1_800, batchTokens: 1_024,
      schedule: .warmupStableDecay(warmup: 60, decay: 0.6))
    run.optimizer.rate = 2e-3
    run.report.logEvery = 20
    run.report.validateEvery = 300
    run.report.validationSequences = 0
    run.report.checkpointEvery = 300
    return run
  }

  /// Small enough to train every attention several times in an afternoon: heads of 64 as in large
  /// models, so that the cost of attention has its usual weight.
  package static let compare = Preset(
    name: "compare", summary: "1.3 M parameters, minutes on two cores, to compare attentions",
    vocabularySize: 4_000
  ) { vocabulary in
    let model = ModelConfig(
      vocabularySize: vocabulary, width: 128, layers: 4, heads: 2, hidden: 344)
    var run = RunConfig(
      preset: "compare", model: model, steps: 1_000, batchTokens: 1_024,
      schedule: .warmupStableDecay(warmup: 60, decay: 0.6))
    run.optimizer.rate = 3e-3
    run.report.logEvery = 20
    run.report.validateEvery = 100
    run.report.validationSequences = 1_000
    run.report.checkpointEvery = 0
    run.report.keepLast = 1
    return run
  }

  /// The winner of the race (docs/race.md): an hour or so on two cores, for tens of millions of words.
  package static let news = Preset(
    name: "news",
    summary: "3.3 M parameters and hashed rows, an hour on two cores, for 20 M words of news",
    vocabularySize: 8_000
  ) { vocabulary in
    let model = ModelConfig(
      vocabularySize: vocabulary, width: 192, layers: 4, heads: 3, hidden: 512)
    var run = RunConfig(
      preset: "news", model: model, steps: 9_000, batchTokens: 3_072,
      schedule: .warmupStableDecay(warmup: 60, decay: 0.6))
    run.optimizer.rate = 4e-3
    run.useRecipe(bigramRows: 1 << 18, trigramRows: 1 << 19, candidates: 2_048)
    run.report.logEvery = 50
    run.report.validateEvery = 500
    run.report.checkpointEvery = 1_500
    return run
  }

  /// What `news` was before the race: none of its options, AdamW, and 16,000 tokens.
  package static let newsPlain = Preset(
    name: "news-plain",
    summary: "7 M parameters, AdamW and none of the options of news, an hour on two cores",
    vocabularySize: 16_000
  ) { vocabulary in
    let model = ModelConfig(
      vocabularySize: vocabulary, width: 256, layers: 4, heads: 4, hidden: 704)
    var run = RunConfig(
      preset: "news-plain", model: model, steps: 10_000, batchTokens: 1_024,
      schedule: .warmupStableDecay(warmup: 150, decay: 0.6))
    run.optimizer.rate = 2e-3
    run.report.logEvery = 50
    run.report.validateEvery = 500
    run.report.checkpointEvery = 500
    return run
  }

  /// The public recipe of flax `examples/lm1b`, with SwiGLU of the same size in place of its MLP,
  /// whole sentences in place of rows of 128, and clipping at 1.
  package static let flaxLM1B = Preset(
    name: "flax-lm1b", summary: "flax examples/lm1b: 6 layers of 512, 32,768 tokens a step",
    vocabularySize: 30_000
  ) { vocabulary in
    literature("flax-lm1b", vocabulary, width: 512, hidden: 1_368, steps: 500_000)
  }

  /// Tensor2Tensor's size and budget under the optimizer of `flax-lm1b`.
  package static let t2t50M = Preset(
    name: "t2t-50m", summary: "Tensor2Tensor's size and budget: 300k steps of 32,768 tokens"
  ) { vocabulary in
    literature("t2t-50m", vocabulary, width: 512, hidden: 1_368, steps: 300_000)
  }

  /// The size of the H-Transformer-1D paper's smaller model: 53.0 M with 33.3k tokens.
  package static let h1d53M = Preset(
    name: "h1d-53m", summary: "H-Transformer-1D, 53 M parameters, blocks of 16, untied head",
    vocabularySize: 33_300
  ) { vocabulary in
    var run = literature("h1d-53m", vocabulary, width: 512, hidden: 1_368, steps: 500_000)
    run.model.use(.hierarchical(blockSize: 16, query: .coarse))
    return run
  }

  /// `h1d-53m` by the recipe of `news`, scaled by rules.
  ///
  /// They begin at its C = 192, 3,072 tokens a step and 8,000 tokens of the vocabulary:
  ///
  /// - Size, attention and step are those of `h1d-53m`; the head is tied, as in `news`.
  /// - The rate is 4e-3 · √(tokens a step / 3,072) · √(192 / C). A step's gradient has less noise by
  ///   the root of its tokens (Malladi et al., 2022, arXiv 2205.10287), and Muon moves a matrix by
  ///   rate · 0.2 · √C in every direction, which is to stay what it was.
  /// - Candidates of the softmax are the same quarter of the vocabulary, rounded to a power of two.
  /// - Rows of n-grams grow with the text by half a power, √(885 M / 29 M) = 5.5: four times as many.
  /// - Steps are one epoch of the benchmark, since rows learn repeated text by heart; a warm-up of
  ///   1 %, the decay over the same 60 %.
  ///
  /// It has not been trained to the end by its authors: the rules are measured at the small size alone.
  package static let h1d53MFast = Preset(
    name: "h1d-53m-fast",
    summary: "h1d-53m by the recipe of news, one epoch of the benchmark; not yet run to its end",
    vocabularySize: 33_300
  ) { vocabulary in
    var model = ModelConfig(
      vocabularySize: vocabulary, width: 512, layers: 6, heads: 8, hidden: 1_368)
    model.use(.hierarchical(blockSize: 16, query: .coarse))
    var run = RunConfig(
      preset: "h1d-53m-fast", model: model, steps: 27_000, batchTokens: 32_768,
      schedule: .warmupStableDecay(warmup: 270, decay: 0.6))
    run.optimizer.rate = 8e-3
    run.useRecipe(bigramRows: 1 << 20, trigramRows: 1 << 21, candidates: 8_192)
    run.report.logEvery = 50
    run.report.validateEvery = 1_000
    run.report.checkpointEvery = 1_000
    run.report.keepLast = 3
    return run
  }

  /// Twice the width: 143.8 M.
  package static let h1d144M = Preset(
    name: "h1d-144m", summary: "H-Transformer-1D, 144 M parameters, blocks of 16, untied head",
    vocabularySize: 33_300
  ) { vocabulary in
    var run = literature("h1d-144m", vocabulary, width: 1_024, hidden: 2_736, steps: 500_000)
    run.model.use(.hierarchical(blockSize: 16, query: .coarse))
    return run
  }

  /// What the recipes of the literature share.
  ///
  /// Their MLP of 4C is a SwiGLU of 8/3 C here, which has the same number of weights and FLOPs;
  /// hidden is rounded up to a multiple of 8.
  private static func literature(
    _ name: String, _ vocabulary: Int, width: Int, hidden: Int, steps: Int
  ) -> RunConfig {
    var model = ModelConfig(
      vocabularySize: vocabulary, width: width, layers: 6, heads: 8, hidden: hidden)
    model.tiedHead = false
    var run = RunConfig(
      preset: name, model: model, steps: steps, batchTokens: 32_768,
      schedule: .inverseSquareRoot(warmup: 1_000))
    run.optimizer.rate = 1.6e-3
    run.optimizer.beta2 = 0.98
    run.optimizer.epsilon = 1e-9
    run.dropout = 0.1
    run.report.validateEvery = 1_000
    run.report.checkpointEvery = 1_000
    run.report.keepLast = 3
    run.report.keepEvery = 50_000
    return run
  }
}

import Eval
import LMData
import Model

/// The figures of a line of metrics.
extension Trainer {
  /// What has been computed since the last line of the log, or nil where all steps were skipped.
  func metrics() -> Metrics? {
    let window = state.window
    guard window.tokens > 0 else { return nil }
    let natsPerToken = window.nats / Double(window.tokens)
    return Metrics(
      kind: "train", step: state.step, tokens: state.tokens, natsPerToken: natsPerToken,
      softmaxCandidates: window.softmaxCandidates, tokensCounted: window.tokens,
      wordPerplexity: window.softmaxCandidates == nil
        ? wordPerplexity(natsPerToken: natsPerToken) : .infinity, learningRate: window.rate,
      gradientNorm: window.gradientNorm, tokensPerSecond: Double(window.tokens) / window.seconds,
      peakFraction: peakFraction(flopsPerSecond: window.flops / window.seconds),
      skippedSteps: state.safety.flatMap { $0.skipped > 0 ? $0.skipped : nil },
      trainedSeconds: state.trainedSeconds)
  }

  /// Share of the peak, or nil where the peak is not known.
  ///
  /// A step far above it shows that other programs held the cores when it was measured.
  private func peakFraction(flopsPerSecond: Double) -> Double? {
    guard var peak else { return nil }
    let limit = 1.05
    if flopsPerSecond > limit * peak, peakMeasurementsLeft > 0 {
      peakMeasurementsLeft -= 1
      peak = max(peak, measurePeak(model.idleMemory) ?? peak)
      self.peak = peak
    }
    let fraction = flopsPerSecond / peak
    return fraction > limit ? nil : fraction
  }

  /// Word perplexity of a loss per token, by the ratio of tokens to words of the training text.
  private func wordPerplexity(natsPerToken: Double) -> Double {
    let total = dataSet.manifest.totals(of: config.data.trainSplit)
    return Tally(
      nats: natsPerToken * Double(total.tokens + total.sentences), tokens: total.tokens,
      sentences: total.sentences, words: total.words, bytes: total.bytes
    ).wordPerplexity
  }
}

import CommandSupport
import Dispatch
import Synchronization
import Tokenize

/// Shows the phases of the work one after the other, each with its rate and the time left.
final class TokenizeDisplay: Sendable {
  private struct State {
    var phase: Phase?
  }

  /// A phase on the screen; progress counts bytes on the disk, the rate is that of text.
  private final class Phase: Sendable {
    let name: String
    let progress: Progress
    private let bytes: Bytes
    private let ticker: Ticker?

    init(_ name: String, total: Int?) {
      self.name = name
      let bytes = Bytes()
      self.bytes = bytes
      progress = Progress(name, total: total.map { Double($0) }) { perSecond in
        Format.bytes(Int(perSecond * bytes.textPerDiskByte)) + "/s"
      }
      ticker = total == nil ? Ticker(progress) : nil
    }

    func update(_ now: CorpusProgress) { progress.advance(bytes.advance(to: now)) }
  }

  private let state = Mutex(State())

  func show(_ phase: DataSetBuilder.Phase) {
    switch phase {
    case .sampling(let progress):
      enter("sampling lines", total: progress.totalDiskBytes).update(progress)
    case .counting(let progress):
      enter("counting the words of the list", total: progress.totalDiskBytes).update(progress)
    case .encoding(let progress):
      enter("encoding", total: progress.totalDiskBytes).update(progress)
    case .training(let sentences, let total):
      let share = sentences < total ? "\(Format.count(sentences)) of " : ""
      _ = enter(
        "training the tokenizer on \(share)\(Format.count(total, "sentence"))", total: nil)
    case .note(let sentence):
      Terminal.note("lm-tokenize: note: \(sentence)")
    }
  }

  /// Closes the line of the last phase.
  func finish() {
    state.withLock { state in
      state.phase?.progress.finish()
      state.phase = nil
    }
  }

  private func enter(_ name: String, total: Int?) -> Phase {
    state.withLock { state in
      if let phase = state.phase, phase.name == name { return phase }
      state.phase?.progress.finish()
      let phase = Phase(name, total: total)
      state.phase = phase
      return phase
    }
  }
}

/// Bytes of a phase so far.
private final class Bytes: Sendable {
  private let state = Mutex(CorpusProgress())

  /// Takes in a report, which may be older than the last, and returns the new bytes on the disk.
  func advance(to progress: CorpusProgress) -> Double {
    state.withLock { state in
      let step = max(0, progress.diskBytes - state.diskBytes)
      state.diskBytes += step
      state.textBytes = max(state.textBytes, progress.textBytes)
      return Double(step)
    }
  }

  var textPerDiskByte: Double {
    state.withLock { Double($0.textBytes) / Double(max(1, $0.diskBytes)) }
  }
}

/// Draws the time that has passed while nothing else can be known, as long as it is kept.
private final class Ticker: Sendable {
  private let progress: Progress

  init(_ progress: Progress) {
    self.progress = progress
    tick()
  }

  private func tick() {
    progress.advance(0)
    DispatchQueue.global().asyncAfter(deadline: .now() + 0.2) { [weak self] in self?.tick() }
  }
}

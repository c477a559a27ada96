package import Communication
import Deterministic
package import LMData
import Storage
package import Tensor

/// What must be the same on all ranks before they train together: the run, the data, and how their
/// processors compute.
package struct RankFingerprint {
  private let run: String
  private let data: String
  private let arithmetic: String

  package init(_ config: RunConfig, _ dataSet: DataSet?, _ kernels: any Kernels) throws {
    run = SHA256.hexDigest(of: try JSONFile.encode(config))
    data = dataSet?.fingerprint ?? ""
    arithmetic = try Self.arithmetic(kernels)
  }

  /// Throws on every rank, with the rank that differs from rank 0 and in what.
  package func requireSame(_ communicator: any Communicator) throws {
    for (name, own) in [
      ("configuration", run), ("data", data), ("arithmetic of its processor", arithmetic),
    ] {
      let all = try communicator.gather(Array(own.utf8))
      guard let odd = all.firstIndex(where: { $0 != all[0] }) else { continue }
      throw TrainingError.invalid(
        "rank \(odd) has another \(name) than rank 0; all processes must read the same run and data, "
          + "run the same program, and have processors of one kind")
    }
  }

  /// A product and a loss of fixed numbers, which no two kinds of kernels round alike.
  private static func arithmetic(_ kernels: any Kernels) throws -> String {
    func numbers(_ rows: Int, _ stream: UInt64) throws -> View {
      let columns = 96
      let view = try kernels.makeView(rows: rows, columns: columns)
      let random = CounterRandom(seed: 1, 0xF19E, stream)
      try kernels.write(random.gaussians(0..<rows * columns, deviation: 1), to: view)
      return view
    }
    let (hidden, head) = (try numbers(37, 0), try numbers(61, 1))
    let logits = try kernels.makeView(rows: 37, columns: 61)
    kernels.linearForward(y: logits, x: hidden, w: head, accumulate: false)
    let nats = try kernels.makeView(rows: 1, columns: 37)
    kernels.crossEntropyForward(
      nllNats: nats, hidden: hidden, w: head,
      targets: try kernels.place((0..<37).map { Int32($0) }))
    var hash = SHA256()
    for view in [logits, nats] { try kernels.withFloats(of: view) { hash.update($0) } }
    return hash.finalize()
  }
}

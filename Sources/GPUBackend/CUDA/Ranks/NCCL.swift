import CCUDA
import Communication
import Tensor

/// NVIDIA's library for numbers that go from card to card, opened at run time.
///
/// Sends and receives alone are used. Its sums are not: their order follows from sizes, topology and
/// version, and the bits of a run must not.
struct NCCL: Sendable {
  let functions: NCCLFunctions
  let path: String
  /// Such as 2.27.3.
  let version: String

  /// - Throws: `DeviceError.failed` if there is none that could be used.
  init(_ libraries: CUDALibraries) throws(DeviceError) {
    (functions, path) = try libraries.openNCCL()
    var number: Int32 = 0
    guard functions.ncclGetVersion(&number) == ncclSuccess, number >= 21_300 else {
      throw .failed(
        device: "cuda",
        problem: "\(path) is NCCL of version number \(number), expected 21300 (2.13) or later; run "
          + "scripts/setup.sh --nccl")
    }
    version = "\(number / 10_000).\(number % 10_000 / 100).\(number % 100)"
  }

  /// Throws what a call has returned, in the library's own words.
  ///
  /// - Parameters:
  ///   - code: What it has returned.
  ///   - action: What it does, as "sending".
  ///   - communicator: Whose last error is told; nil before there is one.
  func check(
    _ code: ncclResult_t, _ action: String, _ communicator: ncclComm_t? = nil
  ) throws(CommunicationError) {
    guard code != ncclSuccess else { return }
    var text = functions.ncclGetErrorString(code).map { String(cString: $0) } ?? "error"
    if let last = functions.ncclGetLastError(communicator) {
      let words = String(cString: last).split(whereSeparator: \.isNewline).joined(separator: " ")
      if !words.isEmpty { text += ": " + words }
    }
    throw .unusable(
      "NCCL \(version) failed while \(action) (\(code), \(text)); NCCL_DEBUG=WARN tells more, and "
        + "LM_NCCL=off takes the way through MPI")
  }

  /// What ranks find each other by, as bytes.
  func makeID() throws(CommunicationError) -> [UInt8] {
    var id = ncclUniqueId()
    try check(functions.ncclGetUniqueId(&id), "making an id for all ranks")
    return withUnsafeBytes(of: id) { Array($0) }
  }

  /// Meets the other ranks, who call this too; the card is that of the calling thread's context.
  func join(_ id: [UInt8], rank: Int, size: Int) throws(CommunicationError) -> ncclComm_t {
    var bytes = ncclUniqueId()
    guard id.count == MemoryLayout<ncclUniqueId>.size else {
      throw .unusable("the id of NCCL came as \(id.count) bytes")
    }
    withUnsafeMutableBytes(of: &bytes) { $0.copyBytes(from: id) }
    var communicator: ncclComm_t?
    try check(
      functions.ncclCommInitRank(&communicator, Int32(size), bytes, Int32(rank)),
      "meeting the other ranks")
    guard let communicator else { throw .unusable("NCCL \(version) has made no communicator") }
    return communicator
  }
}

import Foundation
import FuzzTargets

/// The entry of libFuzzer; `FUZZ_TARGET` names what is read.
///
/// Built by `scripts/sanitizers/fuzz.sh` only, with `-sanitize=fuzzer`, which brings the main
/// function.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzOneInput(_ bytes: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
  try? target.run(UnsafeRawBufferPointer(start: bytes, count: count))
  return 0
}

/// Puts the valid files where libFuzzer looks for inputs.
@_cdecl("LLVMFuzzerInitialize")
public func initializeFuzzer(
  _ count: UnsafeMutableRawPointer?, _ arguments: UnsafeMutableRawPointer?
) -> CInt {
  guard let folder = ProcessInfo.processInfo.environment["FUZZ_SEEDS"] else { return 0 }
  for (index, input) in ((try? FuzzSeeds.inputs(of: target)) ?? []).enumerated() {
    try? Data(input).write(to: URL(fileURLWithPath: "\(folder)/seed-\(index)"))
  }
  return 0
}

private let target: FuzzTarget = {
  let name = ProcessInfo.processInfo.environment["FUZZ_TARGET"] ?? ""
  guard let target = FuzzTarget(rawValue: name) else {
    preconditionFailure("FUZZ_TARGET is \"\(name)\"")
  }
  return target
}()

import CProcessor
import Foundation
import Machine

/// Checks the processor before the first instruction that it may lack.
package enum Processor {
  /// Names of the instruction sets that the kernels need (x86-64-v3) and the processor lacks.
  package static func missing(_ bits: UInt32) -> [String] {
    let names: [(bit: UInt32, name: String)] = [
      (UInt32(CP_AVX2), "AVX2"), (UInt32(CP_FMA), "FMA"), (UInt32(CP_BMI2), "BMI2"),
    ]
    return names.filter { bits & $0.bit != 0 }.map(\.name)
  }

  /// Ends the program with one sentence if an instruction set is missing, or the environment asks for one
  /// that is.
  ///
  /// Otherwise an older processor would end it by an illegal instruction, without a message.
  package static func requireVectorUnits(command: String) {
    let missing = missing(cp_missing_features())
    guard !missing.isEmpty else { return requireChosenUnits(command: command) }
    Terminal.write(
      "\(command): error: this processor lacks \(missing.joined(separator: ", ")), which the "
        + "program is built for; run it on an x86-64 machine from about 2013 on (x86-64-v3)\n")
    Foundation.exit(1)
  }

  private static func requireChosenUnits(command: String) {
    do throws(VectorUnitsError) {
      _ = try VectorUnits.chosen()
    } catch {
      Terminal.write("\(command): error: \(error)\n")
      Foundation.exit(1)
    }
  }
}

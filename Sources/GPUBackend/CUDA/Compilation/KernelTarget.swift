/// What kernels are compiled to for one card.
package struct KernelTarget: Hashable, Sendable {
  /// As the compiler takes it: `sm_90a` makes machine code, `compute_90` code that the driver
  /// compiles for a card that came after the compiler.
  package let architecture: String

  package var isMachineCode: Bool { architecture.hasPrefix("sm_") }

  package init(architecture: String) { self.architecture = architecture }

  /// The nearest that a compiler knows.
  ///
  /// - Parameters:
  ///   - card: Compute capability of the card.
  ///   - known: What the compiler knows, such as 80 and 90.
  package init(for card: CUDACard.Capability, known: [Int]) {
    let own = 10 * card.major + card.minor
    if own == 90, known.contains(90) {
      // With the instructions that only Hopper has.
      architecture = "sm_90a"
    } else if known.contains(own) {
      architecture = "sm_\(own)"
    } else if let older = known.filter({ $0 / 10 == card.major && $0 < own }).max() {
      // A card runs the machine code of earlier ones of its generation.
      architecture = "sm_\(older)"
    } else {
      architecture = "compute_\(known.filter { $0 < own }.max() ?? 80)"
    }
  }
}

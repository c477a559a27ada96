import Foundation
import GPUBackend
import Storage
import Tensor
import TestSupport
import Testing

/// Kernels are compiled once for a card, and what is kept is whole or not believed.
@Suite struct CompilationTests {
  private static let kernels = [
    GPUKernel("memory", "fill_matrix"), GPUKernel("adamw", "adamw"),
    GPUKernel("muon", "muon_move"),
  ]
  /// Those, and what every model needs.
  private static let files = 9

  /// Compiles all of them and counts.
  private func compiled(_ sandbox: CUDASandbox) throws -> Int {
    let driver = try sandbox.driver()
    driver.prepare(Self.kernels)
    // An announced file may be wanted before anybody has begun with it.
    let x = try GPUKernels(driver).makeView(rows: 3, columns: 5)
    GPUKernels(driver).fill(x.columns(0..<4), with: 1)
    try driver.synchronize()
    for _ in 0..<1_000 where driver.readyFiles < Self.files { usleep(10_000) }
    #expect(driver.readyFiles == Self.files)
    return driver.compiledFiles
  }

  private func entries(_ sandbox: CUDASandbox) throws -> [String] {
    let folder = sandbox.cachePath + "/billion-word-trainer/kernels"
    return try Files.entries(of: folder).map { folder + "/" + $0 }
  }

  @Test func onceForAllRuns() throws {
    let sandbox = try CUDASandbox()
    #expect(try compiled(sandbox) == Self.files)
    #expect(try compiled(sandbox) == 0)
    #expect(try entries(sandbox).count == Self.files)
    // Another card, another compiler: other entries.
    sandbox.tell("capability=80")
    #expect(try compiled(sandbox) == Self.files)
    #expect(try entries(sandbox).count == 2 * Self.files)
  }

  @Test func damagedEntriesAreCompiledAgain() throws {
    let sandbox = try CUDASandbox()
    _ = try compiled(sandbox)
    let paths = try entries(sandbox)
    var bytes = try Files.contents(of: paths[0])
    bytes[bytes.count - 1] ^= 1
    try AtomicFile.write(bytes, to: paths[0])
    try Files.truncate(paths[1], to: 70)
    // One entry in the place of another is as wrong.
    try AtomicFile.write(try Files.contents(of: paths[3]), to: paths[2])
    #expect(try compiled(sandbox) == 3)
    #expect(try compiled(sandbox) == 0)
  }

  @Test func aCacheThatCannotBeWrittenIsNoError() throws {
    let sandbox = try CUDASandbox()
    try "a file".write(toFile: sandbox.cachePath, atomically: true, encoding: .utf8)
    #expect(try compiled(sandbox) == Self.files)
    #expect(try compiled(sandbox) == Self.files)
  }

  @Test func errorsNameTheFile() throws {
    let sandbox = try CUDASandbox("broken=memory")
    let kernels = GPUKernels(try sandbox.driver())
    let x = try kernels.makeView(rows: 3, columns: 5)
    kernels.fill(x.columns(0..<4), with: 1)
    let error = #expect(throws: (any Error).self) { try kernels.synchronize() }
    let text = "\(try #require(error))"
    #expect(text.contains("memory.cu does not compile for sm_90a with NVRTC 13.0"), "\(text)")
    #expect(text.contains("memory.cu(8): error: told so\n... 4 more lines"), "\(text)")
  }

  @Test func theNearestArchitectureIsTaken() {
    func target(_ major: Int, _ minor: Int, _ known: [Int]) -> String {
      KernelTarget(for: .init(major: major, minor: minor), known: known).architecture
    }
    let known = [75, 80, 86, 89, 90, 100]
    #expect(target(8, 0, known) == "sm_80" && target(8, 9, known) == "sm_89")
    #expect(target(9, 0, known) == "sm_90a" && target(10, 0, known) == "sm_100")
    // Machine code of the same generation, else code for the driver's compiler.
    #expect(target(8, 7, known) == "sm_86" && target(10, 3, known) == "sm_100")
    #expect(target(12, 0, known) == "compute_100" && target(9, 0, [75, 80]) == "compute_80")
    #expect(target(8, 0, []) == "compute_80")
  }

  /// A card that came after the compiler runs code that the driver compiles.
  @Test func newerCardsRunToo() throws {
    #expect(try compiled(try CUDASandbox("capability=120")) == Self.files)
    #expect(try compiled(try CUDASandbox("capability=103")) == Self.files)
  }
}

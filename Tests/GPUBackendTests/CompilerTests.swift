import CUDAEmulator
import Deterministic
import Foundation
import GPUBackend
import Tensor
import TestSupport
import Testing

/// NVRTC itself, where it is there, compiles every file of kernels with everything that it is compiled
/// with; it needs no card, and `scripts/setup.sh --cuda-compiler` brings it.
@Suite(.serialized) struct CompilerTests {
  /// Every file; those of attention for one type and width, as each takes NVRTC some ten seconds, or with
  /// all definitions that tests run them with if KERNELS=all is in the environment.
  private static let modules: [KernelModule] = {
    var modules: [KernelModule] = []
    let wantsAll = ProcessInfo.processInfo.environment["KERNELS"] == "all"
    var number: Int32 = 0
    while let name = emulated_module(number) {
      number += 1
      // A folder and the file's name, then the definitions.
      let parts = String(cString: name).split(separator: "/").map(String.init)
      let file = parts.prefix { !$0.contains("=") }
      let definitions = Array(parts.dropFirst(file.count))
      guard wantsAll || definitions.isEmpty || definitions == ["NUMBER=bf16", "WIDTH=64"] else {
        continue
      }
      modules.append(KernelModule(file.joined(separator: "/"), definitions: definitions))
    }
    return modules
  }()

  private static func compiler(_ architecture: String) -> KernelCompiler? {
    do throws(DeviceError) {
      return try KernelCompiler(target: KernelTarget(architecture: architecture))
    } catch {
      print("CompilerTests: not run: \(error)")
      return nil
    }
  }

  @Test(arguments: ["sm_80", "sm_90a"]) func everyFileCompiles(architecture: String) throws {
    guard let compiler = Self.compiler(architecture) else { return }
    let folder = try TemporaryFolder()
    let cache = KernelCache(environment: ["XDG_CACHE_HOME": folder.path])
    let library = KernelLibrary(compiler, cache: cache, threads: Parallel.processorCount)
    #expect(Self.modules.count > 10)
    library.announce(Self.modules)
    for module in Self.modules {
      // Machine code of a card is an ELF file.
      #expect(try library.image(module).starts(with: [0x7F, 0x45, 0x4C, 0x46]), "\(module)")
    }
    #expect(library.compiledCount == Self.modules.count)
    // The next run finds all of it.
    let again = KernelLibrary(compiler, cache: cache, threads: 1)
    for module in Self.modules { #expect(try again.image(module) == library.image(module)) }
    #expect(again.compiledCount == 0)
  }

  @Test func aMistakeIsTold() throws {
    guard let compiler = Self.compiler("sm_80") else { return }
    let module = KernelModule("memory", definitions: ["Matrix=3"])
    let error = #expect(throws: DeviceError.self) { _ = try compiler.compile(module) }
    let text = "\(try #require(error))"
    #expect(text.contains("memory.cu -DMatrix=3 does not compile for sm_80"))
    #expect(text.contains("error") && text.split(separator: "\n").count <= 10, "\(text)")
  }
}

import Foundation
import GPUBackend
import Storage
import Tensor
import TestSupport
import Testing

/// Finding NVIDIA's libraries, and what is said where one is missing.
@Suite struct LibraryTests {
  private func sentence(_ sandbox: CUDASandbox, card: Int = 0) -> String {
    do throws(DeviceError) {
      _ = try sandbox.driver(card: card)
      return ""
    } catch {
      return "\(error)"
    }
  }

  @Test func aMissingLibraryIsNamedWithWhereItWasLookedFor() throws {
    for (index, remedy) in [
      "install NVIDIA's driver", "scripts/setup.sh --cuda", "LM_CUDA_LIBRARIES",
    ]
    .enumerated() {
      let sandbox = try CUDASandbox(
        names: CUDASandbox.names.enumerated().filter { $0.0 != index }.map { $0.1 })
      let sentence = sentence(sandbox)
      #expect(sentence.hasPrefix("device cuda: \(CUDASandbox.names[index])"), "\(sentence)")
      #expect(sentence.contains(sandbox.libraries) && sentence.contains(remedy), "\(sentence)")
      #expect(!sentence.contains("\n"))
    }
  }

  @Test func aFileThatIsNoLibraryIsNamed() throws {
    let sandbox = try CUDASandbox(names: [])
    try "nothing".write(
      toFile: sandbox.libraries + "/libcuda.so.1", atomically: true, encoding: .utf8)
    let sentence = sentence(sandbox)
    #expect(sentence.contains("libcuda.so.1 cannot be opened ("), "\(sentence)")
  }

  /// A driver serves libraries of its own version and of older ones.
  @Test func librariesFitTheDriver() throws {
    let sandbox = try CUDASandbox("version=12040")
    #expect(sentence(sandbox).contains("libnvrtc.so.12 or libnvrtc.so.11.2 is not in"))
    try sandbox.add("libnvrtc.so.12")
    #expect(sentence(sandbox).contains("libcublasLt.so.12 or libcublasLt.so.11 is not in"))
    try sandbox.add("libcublasLt.so.12")
    #expect(sentence(sandbox) == "")
  }

  @Test func cardsThatCannotBeUsedAreNamed() throws {
    #expect(sentence(try CUDASandbox("cards=0")).contains("libcuda.so.1 finds no card"))
    #expect(
      sentence(try CUDASandbox("cards=2"), card: 2)
        == "device cuda:2: there is no such card; this machine has cuda, cuda:1")
    #expect(
      sentence(try CUDASandbox("capability=75"))
        == "device cuda: Card of nobody 0 has compute capability 7.5, expected 8.0 (Ampere) or later; "
        + "choose another --device")
    #expect(sentence(try CUDASandbox("cuInit=803")).contains("restart the machine"))
    #expect(sentence(try CUDASandbox("cuInit=34")).contains("is a stub of a toolkit"))
    #expect(sentence(try CUDASandbox("cuDevicePrimaryCtxRetain=46")).contains("the card is lost"))
    #expect(sentence(try CUDASandbox("cublasLtCreate=1")).contains("does not start (status 1)"))
    let second = try CUDASandbox("cards=2").driver(card: 1)
    #expect(second.name == "cuda:1" && second.card.model == "Card of nobody 1")
  }

  @Test func foldersAreTriedInOrder() throws {
    let folder = try TemporaryFolder()
    let python = folder.path + "/venv/lib/python3.12/site-packages/nvidia"
    for name in ["cu12/lib", "cu13/lib"] { try Files.createDirectory(python + "/" + name) }
    try Files.createDirectory(folder.path + "/project/.build/release")
    try Files.createDirectory(folder.path + "/project/.cuda")
    let program = try folder.write("", to: "project/.build/release/lm-train")
    let search = LibrarySearch(
      environment: [LibrarySearch.variable: "/one:/two", "VIRTUAL_ENV": folder.path + "/venv"],
      program: program)
    #expect(search.folders.prefix(2) == ["/one", "/two"])
    // Without the package's own description the folder above is nobody's.
    #expect(!search.folders.contains(folder.path + "/project/.cuda"))
    let places = search.folders.filter { $0.hasPrefix(python) }
    #expect(places == [python + "/cu13/lib", python + "/cu12/lib"])
    try folder.write("", to: "project/Package.swift")
    let again = LibrarySearch(environment: [:], program: program)
    #expect(again.folders.contains(folder.path + "/project/.cuda"))
  }
}

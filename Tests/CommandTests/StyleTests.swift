import CommandSupport
import TestSupport
import Testing

@Suite struct StyleTests {
  @Test func colourNeedsATerminalAndNoObjection() {
    func allows(_ isTerminal: Bool, _ environment: [String: String]) -> Bool {
      Terminal.allowsColour(isTerminal: isTerminal, environment: environment)
    }
    #expect(allows(true, ["TERM": "xterm"]) && allows(true, [:]))
    #expect(allows(true, ["NO_COLOR": ""]))
    #expect(!allows(false, ["TERM": "xterm"]))
    #expect(!allows(true, ["NO_COLOR": "1"]) && !allows(true, ["NO_COLOR": "0"]))
    #expect(!allows(true, ["TERM": "dumb"]))
  }

  @Test func widthsAndCutsPassOverStyles() {
    let red = Terminal.painted("abc", .red)
    #expect(red == "\u{1B}[31mabc\u{1B}[0m")
    #expect(Terminal.width(of: red) == 3 && Terminal.width(of: "é▁\(red)x") == 6)
    #expect(Terminal.cut("plain text", to: 5) == "plain")
    #expect(Terminal.cut(red + "def", to: 9) == red + "def")
    #expect(Terminal.cut(red + "def", to: 4) == red + "d")
    #expect(Terminal.cut(red + "def", to: 3) == red)
    // A style that is cut open is closed.
    #expect(Terminal.cut("x" + red, to: 2) == "x\u{1B}[31ma\u{1B}[0m")
    #expect(Terminal.cut("xyz" + red, to: 3) == "xyz")
    for width in 0...9 {
      let cut = Terminal.cut("ab" + red + "cd" + Terminal.painted("ef", .bold), to: width)
      #expect(Terminal.width(of: cut) == width)
      #expect(!cut.contains("\u{1B}") || cut.hasSuffix("\u{1B}[0m") || width >= 5)
    }
  }

  @Test func barsFillUp() {
    for (share, full) in [(-1.0, 0), (0, 0), (0.5, 5), (0.99, 9), (1, 10), (3, 10)] {
      let bar = Terminal.bar(share, columns: 10)
      #expect(bar.filter { $0 == "=" }.count == full && Terminal.width(of: bar) == 12)
    }
  }

  /// What is piped holds no escape sequence, whatever it says.
  @Test func pipesGetPlainText() throws {
    let outcome = try runProgram("lm-eval", ["--verify", "/none"])
    #expect(outcome.errors.contains("error:") && !outcome.errors.contains("\u{1B}"))
  }
}

package main

import (
	"math/big"
	"math/rand"
	"strconv"
	"strings"

	"gopkg.in/inf.v0"
	"k8s.io/apimachinery/pkg/api/resource"
)

// quantityVector is [text] when ParseQuantity refuses the text, else [text, Value(), MilliValue()]. A number is null
// where the exact one is beyond an int64: Kubernetes answers 0 or something that wrapped around, we answer the bound.
type quantityVector []any

func quantities() []quantityVector {
	var vectors []quantityVector
	seen := map[string]bool{}
	for _, text := range quantityTexts() {
		if !seen[text] {
			seen[text] = true
			if vector := quantityVectorOf(text); vector != nil {
				vectors = append(vectors, vector)
			}
		}
	}
	return vectors
}

func quantityVectorOf(text string) quantityVector {
	quantity, err := resource.ParseQuantity(text)
	if err != nil {
		return quantityVector{text}
	}
	copied := quantity.DeepCopy() // AsDec changes what it is called on
	exact := copied.AsDec()
	value := awayFromZero(exact, 0)
	milli := awayFromZero(exact, 3)
	if exact.Sign() < 0 {
		// The two representations of a negative fraction round differently; a request is never negative.
		if fits(value) && value.Int64() != quantity.Value() || fits(milli) && milli.Int64() != quantity.MilliValue() {
			return nil
		}
	}
	return quantityVector{text, orNull(value, quantity.Value(), text), orNull(milli, quantity.MilliValue(), text)}
}

// orNull is what Kubernetes says where that can be right.
func orNull(exact *big.Int, kubernetes int64, text string) any {
	if !fits(exact) {
		return nil
	}
	if exact.Int64() != kubernetes {
		panic(text + ": Kubernetes says " + strconv.FormatInt(kubernetes, 10) + ", exact is " + exact.String())
	}
	return kubernetes
}

// fits leaves out the largest number too: what is cut off there in Kubernetes has lost its fraction.
func fits(n *big.Int) bool {
	return n.IsInt64() && n.CmpAbs(big.NewInt(1<<63-1)) < 0
}

func awayFromZero(exact *inf.Dec, places inf.Scale) *big.Int {
	return new(inf.Dec).Round(exact, places, inf.RoundUp).UnscaledBig()
}

func quantityTexts() []string {
	texts := []string{
		"", " ", "0", "00", "-0", "+0", "+", "-", ".", "+.", "-.", "..", "1..2", "1.2.3", "--1", "+-1", "1-", "1+",
		"0x10", "1_000", "1,000", "1 Gi", " 1", "1 ", "1\n", "NaN", "Inf", "٣", "１", "1Ｇi", "1µ", "1μ",
		".Ki", "Ki", "m", "e3", "E", "Ei", ".m", ".e3", ".e-3", ".e-20", "-.e-20", "+m", "0e-20", "0.0e-30", "00e-20",
		"1K", "1KB", "1kB", "1MB", "1Kib", "1ki", "1KI", "1mi", "1gi", "1g", "1t", "1p", "1Kii", "1iK", "1iki", "1i",
		"1e", "1e+", "1e-", "1E+", "1ee3", "1EE3", "1e3e3", "1e3.5", "1e3m", "1me3", "1k3", "1Ki3", "1e 3", "1Ke3",
		"1e4294967296", "1e4294967297", "1e9223372036854775807", "1e9223372036854775808", "1e00003", "1e-00003", "1e+3",
		"9223372036854775806", "9223372036854775807", "9223372036854775808", "-9223372036854775807",
		"-9223372036854775808", "9223372036854775806.5", "9223372036854775.806", "9223372036854775806n",
		"18446744073709551615", "18446744073709551616", "99999999999999999999", "1" + strings.Repeat("0", 60),
		"0." + strings.Repeat("0", 60) + "1", "1." + strings.Repeat("0", 60) + "1", strings.Repeat("0", 60) + "1",
		strings.Repeat("9", 40) + "n", "0." + strings.Repeat("9", 40), "1." + strings.Repeat("3", 40) + "Ki",
		"8E", "9E", "9.3E", "10E", "7Ei", "8Ei", "7.9999999999999999999Ei", "8191Pi", "8192Pi", "8388607Ti",
		"9007199254740993", "4503599627370497.5", "1.1Ki", "0.1Ki", "0.3Mi", "0.0001Gi", "1.000000000000000001Ei",
		"0.1n", "0.5u", "1.5n", "100.0005m", "12.00000000000000000000", "1234567890123456789", "123456789012345678",
		"1000000000000000000", "999999999999999999k", "0.999999999999999999k", "1e18", "1e19", "9.2e18", "1e-9", "1e-10",
	}
	numbers := []string{"0", "1", "7", "10", "12", "100", "128", "500", "999", "1000", "1024", "1500", "65536",
		"4294967296", "1.5", "0.5", ".5", "5.", "0.001", "1.001", "1.0005", "2.25", "3.14159265358979", "00012.50",
		"123456789.123456789", "0.0000000001", "1.0000000001", "999999999999", "123456789012345"}
	suffixes := []string{"", "n", "u", "m", "k", "M", "G", "T", "P", "E", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei",
		"e0", "e1", "e3", "E3", "e+6", "e-3", "e-9", "e-12", "E-2", "e18", "e30", "e-30", "e400", "e-400"}
	for _, sign := range []string{"", "+", "-"} {
		for _, number := range numbers {
			for _, suffix := range suffixes {
				texts = append(texts, sign+number+suffix)
			}
		}
	}
	random := rand.New(rand.NewSource(1))
	for range 1500 {
		texts = append(texts, randomQuantity(random, suffixes))
	}
	for range 600 {
		texts = append(texts, randomText(random))
	}
	return texts
}

func randomQuantity(random *rand.Rand, suffixes []string) string {
	digits := func(most int) string {
		var text strings.Builder
		for range random.Intn(most + 1) {
			text.WriteByte(byte('0' + random.Intn(10)))
		}
		return text.String()
	}
	text := digits(21)
	if random.Intn(2) == 0 {
		text += "." + digits(24)
	}
	return text + suffixes[random.Intn(len(suffixes))]
}

// randomText strings together what quantities are made of; most of it is none.
func randomText(random *rand.Rand) string {
	const alphabet = "0123456789012345....eEinumkKMGTP+-"
	text := make([]byte, 1+random.Intn(6))
	for i := range text {
		text[i] = alphabet[random.Intn(len(alphabet))]
	}
	return string(text)
}

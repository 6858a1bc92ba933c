package web

import (
	"encoding/binary"

	"github.com/gorilla/websocket"
)

// maxHeader is the length of the longest frame header that a server sends.
const maxHeader = 10

// frame returns one unmasked, unfragmented frame (RFC 6455, section 5.2), whose
// payload is what write appends to the buffer it is given. size is a guess of
// the payload's length.
//
// Frames are made here rather than by gorilla/websocket so that many can go out
// in one write.
func frame(opcode byte, size int, write func([]byte) []byte) []byte {
	b := write(make([]byte, maxHeader, maxHeader+size))
	n := len(b) - maxHeader
	var start int
	switch {
	case n < 126:
		start = maxHeader - 2
		b[start+1] = byte(n)
	case n <= 0xffff:
		start = maxHeader - 4
		b[start+1] = 126
		binary.BigEndian.PutUint16(b[start+2:], uint16(n))
	default:
		start = maxHeader - 10
		b[start+1] = 127
		binary.BigEndian.PutUint64(b[start+2:], uint64(n))
	}
	b[start] = 0x80 | opcode // FIN
	return b[start:]
}

// opText is a frame's opcode.
const opText = websocket.TextMessage

// appendHeader appends the header of one unmasked, unfragmented frame with a payload of n bytes.
func appendHeader(b []byte, opcode byte, n int) []byte {
	b = append(b, 0x80|opcode) // FIN
	switch {
	case n < 126:
		return append(b, byte(n))
	case n <= 0xffff:
		return binary.BigEndian.AppendUint16(append(b, 126), uint16(n))
	default:
		return binary.BigEndian.AppendUint64(append(b, 127), uint64(n))
	}
}

// maskedHeader is the length of the header of a control frame that a client sends.
const maskedHeader = 6

// control tells from the first two bytes of what a client sends whether a control frame of a kind begins there, as it
// should be (RFC 6455, section 5.5), and how long that is.
func control(head []byte, opcode byte) (n int, ok bool) {
	const final, masked, most = 0x80, 0x80, 125
	if len(head) < 2 || head[0] != final|opcode || head[1]&masked == 0 || head[1]&^masked > most {
		return 0, false
	}
	return maskedHeader + int(head[1]&^masked), true
}

func controlFrame(opcode byte, payload []byte) []byte {
	return frame(opcode, len(payload), func(b []byte) []byte { return append(b, payload...) })
}

// maxReason is the longest reason that fits into a close frame, whose payload
// is at most 125 bytes (RFC 6455, section 5.5).
const maxReason = 123

// closeFrame says why the socket ends. A reason too long is cut.
func closeFrame(code int, reason string) []byte {
	return controlFrame(websocket.CloseMessage, websocket.FormatCloseMessage(code, clip(reason, maxReason)))
}

func textFrame(size int, write func([]byte) []byte) []byte {
	return frame(websocket.TextMessage, size, write)
}

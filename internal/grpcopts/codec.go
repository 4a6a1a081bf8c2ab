package grpcopts

import (
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/encoding/proto"
	"google.golang.org/grpc/mem"
)

// Out is a message that its sender has encoded already. gRPC gives Bytes back to
// Pool once they are on their way.
type Out struct {
	Bytes *[]byte
	Pool  mem.BufferPool
}

// In takes a message as it came. Its bytes are used again for the next one.
type In struct{ Bytes []byte }

// Codec hands Out and In through and leaves every other message to protobuf. On
// the wire nobody can tell the difference. It serves the few messages of which
// there are a hundred thousand a second: making a protobuf message of each would
// cost more than what they are sent for.
type Codec struct{}

var protobuf = encoding.GetCodecV2(proto.Name)

// Marshal implements encoding.CodecV2.
func (Codec) Marshal(v any) (mem.BufferSlice, error) {
	if out, ok := v.(Out); ok {
		return mem.BufferSlice{mem.NewBuffer(out.Bytes, out.Pool)}, nil
	}
	return protobuf.Marshal(v)
}

// Unmarshal implements encoding.CodecV2.
func (Codec) Unmarshal(data mem.BufferSlice, v any) error {
	in, ok := v.(*In)
	if !ok {
		return protobuf.Unmarshal(data, v)
	}
	n := data.Len()
	switch {
	case in.Bytes == nil: // used once: what is read may keep parts of it
		in.Bytes = make([]byte, n)
	case cap(in.Bytes) < n:
		in.Bytes = make([]byte, n, n+n/2)
	}
	in.Bytes = in.Bytes[:n]
	data.CopyTo(in.Bytes)
	return nil
}

// Name implements encoding.CodecV2.
func (Codec) Name() string { return proto.Name }

// SPDX-License-Identifier: MIT
//
// A receiver of OTLP/gRPC made of grpc-go. As node.js: {"port": N}, then a line per request; what to
// answer stands in x-do.
//
//	peer [CERT KEY]
package main

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	_ "google.golang.org/grpc/encoding/gzip"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
)

// raw passes bytes through.
type raw struct{}

func (raw) Marshal(v interface{}) ([]byte, error)      { return *v.(*[]byte), nil }
func (raw) Unmarshal(data []byte, v interface{}) error { *v.(*[]byte) = append([]byte(nil), data...); return nil }
func (raw) String() string                             { return "proto" }

var (
	lock sync.Mutex
	seen = map[string]int{}
)

func say(what map[string]interface{}) {
	lock.Lock()
	defer lock.Unlock()
	line, _ := json.Marshal(what)
	fmt.Println(string(line))
}

// fields calls each with the fields of a message.
func fields(data []byte, each func(number int, value []byte)) {
	for len(data) > 0 {
		key, n := binary.Uvarint(data)
		data = data[n:]
		size := 0
		switch key & 7 {
		case 0:
			_, size = binary.Uvarint(data)
		case 1:
			size = 8
		case 5:
			size = 4
		case 2:
			length, n := binary.Uvarint(data)
			data, size = data[n:], int(length)
		default:
			panic("no such type")
		}
		each(int(key>>3), data[:size])
		data = data[size:]
	}
}

func idsOf(data []byte) []string {
	ids := []string{}
	fields(data, func(n int, resource []byte) {
		fields(resource, func(n int, scope []byte) {
			if n != 2 {
				return
			}
			fields(scope, func(n int, item []byte) {
				if n == 2 {
					id := ""
					fields(item, func(n int, value []byte) {
						if n == 2 {
							id = fmt.Sprintf("%x", value)
						}
					})
					ids = append(ids, id)
				}
			})
		})
	})
	return ids
}

func wishes(text, key string) map[string]string {
	wish := map[string]string{}
	for _, word := range strings.Fields(text) {
		part := strings.SplitN(word, "=", 2)
		wish[part[0]] = part[1]
	}
	lock.Lock()
	defer lock.Unlock()
	seen[key]++
	if times, err := strconv.Atoi(wish["times"]); err == nil && seen[key] > times {
		return map[string]string{}
	}
	return wish
}

func export(_ interface{}, stream grpc.ServerStream) error {
	var request []byte
	if err := stream.RecvMsg(&request); err != nil {
		return err
	}
	method, _ := grpc.MethodFromServerStream(stream)
	md, _ := metadata.FromIncomingContext(stream.Context())
	from, _ := peer.FromContext(stream.Context())
	headers := map[string]string{}
	for key, values := range md {
		headers[key] = values[0]
	}
	deadline, _ := stream.Context().Deadline()
	ids := idsOf(request)
	say(map[string]interface{}{"items": len(ids), "ids": ids, "url": method, "headers": headers, "size": len(request),
		"key": headers["x-key"], "time": time.Now().UnixNano() / 1e6, "peer": from.Addr.(*net.TCPAddr).Port,
		"deadline": time.Until(deadline).Milliseconds()})
	wish := wishes(headers["x-do"], headers["x-key"])
	if wish["hang"] != "" {
		<-stream.Context().Done()
	}
	if code, _ := strconv.Atoi(wish["status"]); code != 0 {
		return status.Error(codes.Code(code), "as you wish, café")
	}
	size, _ := strconv.Atoi(wish["bytes"])
	reply := []byte(strings.Repeat(" ", size))
	if rejected, _ := strconv.Atoi(wish["partial"]); rejected != 0 {
		reply = []byte{0x0a, 0x0b, 0x08, byte(rejected), 0x12, 7, 't', 'o', 'o', ' ', 'o', 'l', 'd'}
	}
	return stream.SendMsg(&reply)
}

func main() {
	options := []grpc.ServerOption{grpc.CustomCodec(raw{}), grpc.UnknownServiceHandler(export), grpc.MaxRecvMsgSize(80 << 20)}
	if len(os.Args) > 2 {
		own, err := credentials.NewServerTLSFromFile(os.Args[1], os.Args[2])
		if err != nil {
			panic(err)
		}
		options = append(options, grpc.Creds(own))
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	server := grpc.NewServer(options...)
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin) // until whoever started us has gone
		server.Stop()
	}()
	say(map[string]interface{}{"port": listener.Addr().(*net.TCPAddr).Port})
	_ = server.Serve(listener)
}
